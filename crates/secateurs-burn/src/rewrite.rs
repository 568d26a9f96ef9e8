//! Modules with other masks. burn's modules are mapped as a whole, so each function takes one and returns another; the
//! tensors that stay are shared.

use std::any::Any;
use std::collections::HashMap;

use burn_core::module::{Module, ModuleMapper, ModuleVisitor, Param, Reparameterization, Reparameterizer};
use burn_core::tensor::{Bool, Tensor};

use secateurs::FloatArray;

use crate::mask::PruneMask;
use crate::values::from_array;

type MaskParam = Param<Tensor<1, Bool>>;

/// Puts masks on parameters, by path. A mask that is there already is updated in place: burn keeps the old
/// reparameterization where a second one is attached.
pub(crate) fn set_masks<M: Module>(module: M, masks: &HashMap<String, MaskParam>) -> M {
    let module = module.apply_reparameterization(Attach(masks));
    let mut update = Update {
        masks,
        path: Vec::new(),
    };
    module.map(&mut update)
}

struct Attach<'a>(&'a HashMap<String, MaskParam>);

impl Reparameterizer for Attach<'_> {
    type Reparam = PruneMask;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<PruneMask>) {
        (param, self.0.get(path).cloned().map(PruneMask::new))
    }
}

struct Update<'a> {
    masks: &'a HashMap<String, MaskParam>,
    path: Vec<String>,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        // `fc.weight.secateurs.pruned`: a mask of ours is two names below its parameter.
        let [of @ .., name, _] = &self.path[..] else {
            return param;
        };
        if name != PruneMask::NAME {
            return param;
        }
        let mask = self.masks.get(&of.join("."));
        mask.and_then(|mask| (mask as &dyn Any).downcast_ref().cloned())
            .unwrap_or(param)
    }
}

/// Replaces the stored values of parameters, by path. Masks stay, and so does what is trained and what is not.
pub(crate) fn set_values<M: Module>(module: M, values: HashMap<String, FloatArray>) -> M {
    let mut write = Write {
        values,
        path: Vec::new(),
    };
    module.map(&mut write)
}

struct Write {
    values: HashMap<String, FloatArray>,
    path: Vec<String>,
}

impl ModuleMapper for Write {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.values.remove(&self.path.join(".")) {
            Some(array) => param.map(|tensor| {
                let requires_grad = tensor.is_require_grad();
                from_array(&array, &tensor.device()).set_require_grad(requires_grad)
            }),
            None => param,
        }
    }
}

/// Takes masks off parameters, by path: with the zeros in the values if `true`, with the original values if `false`.
///
/// burn can only take all reparameterizations off a module. So that is done, and the other masks and their original
/// values are put back; there must be no other reparameterizations.
pub(crate) fn take_masks<M: Module>(module: M, taken: &HashMap<String, bool>) -> M {
    let (bases, masks) = (Bases::of(&module), masks(&module));
    let restore = Restore { taken, masks, bases };
    module.materialize().apply_reparameterization(restore)
}

struct Restore<'a> {
    taken: &'a HashMap<String, bool>,
    masks: HashMap<String, MaskParam>,
    bases: Bases,
}

impl Reparameterizer for Restore<'_> {
    type Reparam = PruneMask;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        masked: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<PruneMask>) {
        let Some(mask) = self.masks.get(path) else {
            return (masked, None);
        };
        let original = |masked| self.bases.get(path).unwrap_or(masked);
        match self.taken.get(path) {
            Some(true) => (masked, None),
            Some(false) => (original(masked), None),
            None => (original(masked), Some(PruneMask::new(mask.clone()))),
        }
    }
}

/// The masks of a module, by path of their parameters.
pub(crate) fn masks<M: Module>(module: &M) -> HashMap<String, MaskParam> {
    use crate::walk::{Kind, parameters};
    let masks = parameters(module, None)
        .into_iter()
        .filter_map(|found| match found.kind {
            Kind::Float { mask: Some(mask), .. } => Some((found.path, mask)),
            _ => None,
        });
    masks.collect()
}

/// The float parameters of a module as they are stored, by path. Their tensors are shared, not copied.
#[derive(Default)]
pub(crate) struct Bases {
    path: Vec<String>,
    params: HashMap<String, Box<dyn Any>>,
}

impl Bases {
    pub fn of<M: Module>(module: &M) -> Self {
        let mut bases = Bases::default();
        module.visit(&mut bases);
        bases
    }

    fn get<const D: usize>(&self, path: &str) -> Option<Param<Tensor<D>>> {
        self.params.get(path)?.downcast_ref().cloned()
    }

    /// The module with these parameters in the place of its own.
    pub fn put_back<M: Module>(&mut self, module: M) -> M {
        self.path.clear();
        module.map(self)
    }
}

impl ModuleVisitor for Bases {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.params.insert(self.path.join("."), Box::new(param.clone()));
    }
}

impl ModuleMapper for Bases {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.get(&self.path.join(".")).unwrap_or(param)
    }
}
