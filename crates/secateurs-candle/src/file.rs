//! Files: weights with the zeros in them, and masks beside them.

use std::path::Path;

use secateurs::checkpoint;

use crate::error::Result;
use crate::model::CandleModel;

impl CandleModel {
    /// Saves all variables as a safetensors file, in which pruned entries are 0: an ordinary checkpoint, which
    /// `VarMap::load` reads. It is written whole or not at all, and replaces an existing file.
    ///
    /// To go on with pruning later, save the masks beside it with [`checkpoint::save_masks`]. Load the weights with
    /// `VarMap::load` first, then the masks with [`checkpoint::load_masks`]; the masked weights are then 0, as
    /// original values are not saved.
    ///
    /// ```
    /// use candle_core::{DType, Device};
    /// use candle_nn::{VarBuilder, VarMap, linear};
    /// use secateurs::{checkpoint, prune};
    /// use secateurs_candle::CandleModel;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let (weights, masks) = (folder.path().join("model.safetensors"), folder.path().join("masks.safetensors"));
    /// let network = || -> candle_core::Result<VarMap> {
    ///     let vars = VarMap::new();
    ///     linear(8, 4, VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu).pp("fc"))?;
    ///     Ok(vars)
    /// };
    /// let mut model = CandleModel::new(&network()?);
    /// prune::l1_unstructured(&mut model, "fc.weight", 0.5)?;
    /// model.save(&weights)?;
    /// checkpoint::save_masks(&model, &masks)?;
    ///
    /// let mut vars = network()?;
    /// vars.load(&weights)?;
    /// let mut resumed = CandleModel::new(&vars);
    /// checkpoint::load_masks(&mut resumed, &masks)?;
    /// assert_eq!(prune::mask(&resumed, "fc.weight")?, prune::mask(&model, "fc.weight")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`apply`](Self::apply), which is called first, and of [`checkpoint::save_tensors`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.apply()?;
        Ok(checkpoint::save_tensors(
            path,
            self.vars().map(|(name, var)| (name, var.as_tensor())),
        )?)
    }
}
