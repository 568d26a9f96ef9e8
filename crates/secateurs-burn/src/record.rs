//! Records: burn's own, with the masks in them.

use std::collections::HashMap;

use burn_core::module::{Devices, Module, ModuleMapper, ModuleVisitor, Param, Reparameterization};
use burn_core::store::{DTypePolicy, ModuleRecord};
use burn_core::tensor::{Bool, Device, Tensor};

use crate::error::{Error, Result};
use crate::mask::{PruneMask, to_be_loaded};
use crate::model::BurnModel;
use crate::rewrite::{Bases, masks, set_masks};
use crate::walk::{Kind, parameters};

impl<M: Module> BurnModel<M> {
    /// Loads a record, with the masks that are in it. Parameters that have no mask there are not pruned afterwards.
    ///
    /// A record of a pruned module, from [`Module::into_record`] or [`Module::save_file`], holds its masks.
    /// [`Module::load_record`] refuses it where a module has no masks yet, as it does not know these tensors. This
    /// function attaches masks to the parameters that have one in the record, and loads it then. Training goes on as if
    /// it had never stopped. The settings of the record are obeyed. Code that loads by burn's own functions can call
    /// [`prune::identity`](secateurs::prune::identity) first, which attaches masks that keep everything.
    ///
    /// ```
    /// use burn::{module::Module, nn::LinearConfig, tensor::Device};
    /// use secateurs::prune;
    /// use secateurs_burn::BurnModel;
    ///
    /// let new = || BurnModel::new(LinearConfig::new(4, 2).init(&Device::flex()));
    /// let mut model = new();
    /// prune::l1_unstructured(&mut model, "weight", 3)?;
    /// let record = model.module.clone().into_record(); // `record.save("model.bpk")?` saves it
    ///
    /// let mut loaded = new();
    /// loaded.load_record(record)?;
    /// assert_eq!(prune::mask(&loaded, "weight")?, prune::mask(&model, "weight")?);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Record`] if the record does not fit the module, which is then as it was; [`Error::NotAlone`] where a
    /// mask would have to be taken off but cannot be.
    pub fn load_record(&mut self, record: ModuleRecord) -> Result<()> {
        let recorded = self.recorded_masks(&record)?;
        let before = masks(&self.module);

        let dropped = before.keys().filter(|path| !recorded.contains_key(*path));
        let taken: HashMap<String, bool> = dropped.map(|path| (path.clone(), false)).collect();
        let mut module = self.without_masks(&taken)?;
        let added = recorded
            .into_iter()
            .filter(|(path, _)| !before.contains_key(path))
            .collect();
        module = set_masks(module, &added);

        // A running mean is shared by all clones of its module, and loaded even if others cannot be.
        let mut as_it_was = Bases::of(&self.module);
        match module.try_load_record(record) {
            Ok(module) => {
                self.module = module;
                self.remember_masks();
                Ok(())
            }
            Err(error) => {
                self.module = as_it_was.put_back(self.module.clone());
                Err(Error::Record(error))
            }
        }
    }

    /// A place for each mask of a record, by the path of its parameter.
    fn recorded_masks(&self, record: &ModuleRecord) -> Result<HashMap<String, Param<Tensor<1, Bool>>>> {
        let floats = parameters(&self.module, None)
            .into_iter()
            .filter_map(|found| match found.kind {
                Kind::Float { param, .. } => {
                    let entries = param.shape().iter().product();
                    Some((found.path, to_be_loaded(entries, &param.device())))
                }
                _ => None,
            });
        let probe = Probe(floats.collect());
        // All that matters is which of the places are found in the record.
        let record = record
            .clone()
            .with_dtype_policy(DTypePolicy::FromRecord)
            .allow_partial(true)
            .allow_unused(true)
            .validate(false);
        let Probe(places) = probe.try_load_record(record).map_err(Error::Record)?;
        Ok(places
            .into_iter()
            .filter(|(_, mask)| mask.is_initialized())
            .collect())
    }
}

/// Masks for all parameters that a record might have one of. burn's records cannot be listed, but they can be loaded.
#[derive(Clone, Debug)]
struct Probe(Vec<(String, Param<Tensor<1, Bool>>)>);

impl Module for Probe {
    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        let mapped = self.0.into_iter().map(|(path, mask)| {
            let names = || path.split('.').chain([PruneMask::NAME, "pruned"]);
            names().for_each(|name| mapper.enter_module(name, ""));
            let mask = mapper.map_bool(mask);
            names().for_each(|name| mapper.exit_module(name, ""));
            (path, mask)
        });
        Probe(mapped.collect())
    }

    fn visit<Visitor: ModuleVisitor>(&self, _visitor: &mut Visitor) {}

    fn collect_devices(&self, devices: Devices) -> Devices {
        devices
    }

    fn fork(self, _device: &Device) -> Self {
        self
    }

    fn to_device(self, _device: &Device) -> Self {
        self
    }

    fn train(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn materialize(self) -> Self {
        self
    }
}
