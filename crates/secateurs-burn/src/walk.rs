//! Walks over a module: which parameters there are, under which paths, with which masks.

use burn_core::module::{Module, ModuleVisitor, Param, Reparameterization};
use burn_core::tensor::{Bool, Int, Tensor};

use crate::mask::PruneMask;
use crate::values::FloatParam;

/// How burn calls the container of what belongs to a reparameterization.
pub(crate) const REPARAMETERIZATION: &str = "Reparameterization";

/// What is found at a path.
pub(crate) struct Found {
    pub path: String,
    /// Its place among all parameters of the module.
    pub number: u64,
    pub kind: Kind,
}

pub(crate) enum Kind {
    Float {
        param: Box<dyn FloatParam>,
        mask: Option<Param<Tensor<1, Bool>>>,
        /// The name of a reparameterization that is not a mask of ours.
        other: Option<String>,
    },
    Int,
    Bool,
}

/// The parameters of a module in its order, without those of reparameterizations; or only the one at a path.
pub(crate) fn parameters<M: Module>(module: &M, wanted: Option<&str>) -> Vec<Found> {
    let mut walk = Walk {
        wanted,
        path: Vec::new(),
        inside: None,
        number: 0,
        found: Vec::new(),
    };
    module.visit(&mut walk);
    walk.found
}

struct Walk<'a> {
    wanted: Option<&'a str>,
    path: Vec<String>,
    /// The depth of the reparameterization that is being visited, and whether it is a mask of the last one found.
    inside: Option<(usize, bool)>,
    number: u64,
    found: Vec<Found>,
}

impl Walk<'_> {
    fn add(&mut self, kind: impl FnOnce() -> Kind) {
        if self.inside.is_some() {
            return;
        }
        self.number += 1;
        if self.wanted.is_none_or(|wanted| is_path(&self.path, wanted)) {
            self.found.push(Found {
                path: self.path.join("."),
                number: self.number - 1,
                kind: kind(),
            });
        }
    }
}

impl ModuleVisitor for Walk<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        if self.inside.is_none() && container_type == REPARAMETERIZATION {
            let last = self.found.last_mut();
            let of = last.filter(|last| is_path(&self.path, &last.path));
            let mut ours = false;
            if let Some(Kind::Float { other, .. }) = of.map(|found| &mut found.kind) {
                ours = name == PruneMask::NAME;
                *other = (!ours).then(|| name.to_owned());
            }
            self.inside = Some((self.path.len(), ours));
        }
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
        if self.inside.is_some_and(|(depth, _)| depth == self.path.len()) {
            self.inside = None;
        }
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(|| Kind::Float {
            param: Box::new(param.clone()),
            mask: None,
            other: None,
        });
    }

    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        self.add(|| Kind::Int);
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        if let Some((_, true)) = self.inside
            && let Some(Kind::Float { mask, .. }) = self.found.last_mut().map(|found| &mut found.kind)
        {
            *mask = (param as &dyn std::any::Any).downcast_ref().cloned();
        }
        self.add(|| Kind::Bool);
    }
}

/// Whether these are the parts of a path between dots.
pub(crate) fn is_path(parts: &[String], path: &str) -> bool {
    let mut rest = Some(path);
    for (number, part) in parts.iter().enumerate() {
        let here = rest.and_then(|rest| {
            if number == 0 {
                Some(rest)
            } else {
                rest.strip_prefix('.')
            }
        });
        rest = here.and_then(|here| here.strip_prefix(&**part));
    }
    rest == Some("")
}
