//! [`CandleModel`]: variables of candle as a model that can be pruned.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;

use candle_core::{Tensor, TensorId, Var};
use candle_nn::VarMap;
use secateurs::FloatArray;
use secateurs::mask::Mask;
use secateurs::prunable::{
    MaskAction, MaskChange, ParameterView, Prunable, Pruning, WriteValues, check_changes, check_values,
    unknown_parameter,
};

use crate::error::{Error, Result};
use crate::rewrite::{Hidden, Rewrite, mask_tensor};
use crate::storage::{Lender, float_type, from_array};

/// The variables of a candle model, with a place for the mask of each. The [crate documentation](crate) has an
/// example.
///
/// It holds the variables themselves, not copies: pruning changes what the network computes with. Dropping it leaves
/// the zeros in the variables, and forgets masks and original values.
pub struct CandleModel {
    map: Option<VarMap>,
    /// Sorted by name.
    entries: BTreeMap<String, Entry>,
}

pub(crate) struct Entry {
    pub var: Var,
    /// The same for two names of one variable.
    id: u64,
    /// The name under which the variable is listed: the first of its names.
    listed: String,
    pub pruned: Option<Pruned>,
}

/// What is kept of a pruned variable.
pub(crate) struct Pruned {
    pruning: Pruning,
    hidden: Hidden,
    /// The mask where the variable is, if that is not the CPU.
    pub on_device: Option<Tensor>,
}

impl Pruned {
    pub fn mask(&self) -> &Mask {
        self.hidden.mask()
    }
}

impl CandleModel {
    /// The variables of a `VarMap`. Make the layers first: variables that are added later are not seen.
    pub fn new(vars: &VarMap) -> Self {
        let data = vars.data().lock().unwrap_or_else(PoisonError::into_inner);
        let sorted: BTreeMap<_, _> = data
            .iter()
            .map(|(name, var)| (name.clone(), var.clone()))
            .collect();
        drop(data);
        CandleModel::of(sorted, Some(vars.clone()))
    }

    /// Named variables that are in no `VarMap`.
    ///
    /// # Errors
    ///
    /// [`Error::NameTaken`] if two have the same name.
    pub fn from_vars<N: Into<String>>(vars: impl IntoIterator<Item = (N, Var)>) -> Result<Self> {
        let mut sorted = BTreeMap::new();
        for (name, var) in vars {
            let name = name.into();
            if sorted.insert(name.clone(), var).is_some() {
                return Err(Error::NameTaken { name });
            }
        }
        Ok(CandleModel::of(sorted, None))
    }

    fn of(sorted: BTreeMap<String, Var>, map: Option<VarMap>) -> Self {
        let mut first: HashMap<TensorId, (u64, String)> = HashMap::new();
        let entries = sorted.into_iter().enumerate().map(|(number, (name, var))| {
            let (id, listed) = first
                .entry(var.id())
                .or_insert_with(|| (number as u64, name.clone()));
            let entry = Entry {
                id: *id,
                listed: listed.clone(),
                var,
                pruned: None,
            };
            (name, entry)
        });
        CandleModel {
            entries: entries.collect(),
            map,
        }
    }

    /// The variable of this name.
    pub fn var(&self, name: &str) -> Option<&Var> {
        Some(&self.entries.get(name)?.var)
    }

    /// All variables by their names, sorted, those that cannot be pruned included.
    pub fn vars(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.entries.iter().map(|(name, entry)| (&**name, &entry.var))
    }

    /// The pruned variables.
    pub(crate) fn pruned(&self) -> impl Iterator<Item = (&str, &Var, &Pruned)> {
        let entries = self.entries.iter();
        entries.filter_map(|(name, entry)| Some((&**name, &entry.var, entry.pruned.as_ref()?)))
    }

    /// Checks that the `VarMap` still holds these variables under the names of pruned ones.
    pub(crate) fn check_pruned(&self) -> Result<()> {
        self.pruned()
            .try_for_each(|(name, var, _)| self.check_same(name, var))
    }

    fn check_same(&self, name: &str, var: &Var) -> Result<()> {
        let Some(map) = &self.map else {
            return Ok(());
        };
        let data = map.data().lock().unwrap_or_else(PoisonError::into_inner);
        let now = data.get(name);
        if now.is_some_and(|now| now.id() == var.id()) {
            return Ok(());
        }
        Err(Error::Replaced {
            name: name.to_owned(),
            before: var.dims().to_vec(),
            now: now.map(|now| now.dims().to_vec()),
        })
    }

    /// The entry that a path leads to: for tied variables, that of the name which is listed.
    fn entry(&self, path: &str) -> secateurs::Result<&Entry> {
        let entry = self
            .entries
            .get(path)
            .ok_or_else(|| unknown_parameter(self, path))?;
        self.check_same(path, &entry.var)?;
        Ok(&self.entries[&entry.listed])
    }
}

impl Prunable for CandleModel {
    fn paths(&self) -> Vec<String> {
        let listed = self
            .entries
            .iter()
            .filter(|(name, entry)| **name == entry.listed && float_type(entry.var.dtype()).is_some());
        listed.map(|(name, _)| name.clone()).collect()
    }

    fn view(&self, path: &str) -> secateurs::Result<ParameterView<'_>> {
        let entry = self.entry(path)?;
        let Some(float_type) = float_type(entry.var.dtype()) else {
            return Err(Error::NotFloat {
                name: path.to_owned(),
                dtype: entry.var.dtype(),
            }
            .into());
        };
        let pruned = entry.pruned.as_ref();
        Ok(ParameterView::lazy(
            &*entry.listed,
            entry.id,
            entry.var.dims().to_vec(),
            float_type,
            Lender::new(&entry.var, pruned.map(|pruned| &pruned.hidden)),
            pruned.map(|pruned| &pruned.pruning),
        ))
    }

    fn commit(&mut self, changes: Vec<MaskChange>) -> secateurs::Result<()> {
        check_changes(self, &changes)?;
        let mut prepared = Vec::with_capacity(changes.len());
        for MaskChange { path, action } in changes {
            let entry = self.entry(&path)?;
            let (var, listed) = (entry.var.clone(), entry.listed.clone());
            if !var.is_contiguous() {
                return Err(Error::NotContiguous { name: listed }.into());
            }
            let before = entry.pruned.as_ref().map(|pruned| &pruned.hidden);
            let (pruning, rewrite) = match action {
                MaskAction::Set(pruning) => {
                    let rewrite = Rewrite::new(&var, before, Some(pruning.mask()))?;
                    (Some(pruning), rewrite)
                }
                MaskAction::Discard => (None, Rewrite::new(&var, before, None)?),
                // What the mask prunes is 0 already, unless an optimiser has moved it since.
                MaskAction::Remove => (
                    None,
                    Rewrite::new(&var, None, before.map(|hidden| hidden.mask()))?,
                ),
            };
            let on_device = match &pruning {
                Some(pruning) if !var.device().is_cpu() => {
                    Some(mask_tensor(pruning.mask(), &var).map_err(Error::from)?)
                }
                _ => None,
            };
            prepared.push((listed, var, pruning, on_device, rewrite));
        }
        for (listed, var, pruning, on_device, rewrite) in prepared {
            let hidden = rewrite.execute(&var)?;
            let entry = self.entries.get_mut(&listed).expect("the path was checked");
            entry.pruned = pruning.zip(hidden).map(|(pruning, hidden)| Pruned {
                pruning,
                hidden,
                on_device,
            });
        }
        Ok(())
    }

    fn check_whole(&mut self) -> secateurs::Result<()> {
        Ok(self
            .entries
            .iter()
            .try_for_each(|(name, entry)| self.check_same(name, &entry.var))?)
    }
}

impl WriteValues for CandleModel {
    fn write_values(&mut self, values: Vec<(String, FloatArray)>) -> secateurs::Result<()> {
        check_values(self, &values)?;
        let mut prepared = Vec::with_capacity(values.len());
        for (path, array) in values {
            let entry = self.entry(&path)?;
            let values = from_array(&array, entry.var.device()).map_err(Error::from)?;
            if entry.pruned.is_some() && !entry.var.is_contiguous() {
                return Err(Error::NotContiguous { name: path }.into());
            }
            prepared.push((entry.listed.clone(), values));
        }
        for (listed, values) in prepared {
            let entry = self.entries.get_mut(&listed).expect("the path was checked");
            entry.var.set(&values).map_err(Error::from)?;
            if let Some(pruned) = &mut entry.pruned {
                let rewrite = Rewrite::new(&entry.var, None, Some(pruned.pruning.mask()))?;
                if let Some(hidden) = rewrite.execute(&entry.var)? {
                    pruned.hidden = hidden;
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for CandleModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = self.entries.iter().map(|(name, entry)| {
            let mask = entry.pruned.as_ref().map(Pruned::mask);
            (name, (entry.var.dtype(), entry.var.dims(), mask))
        });
        f.debug_map().entries(entries).finish()
    }
}
