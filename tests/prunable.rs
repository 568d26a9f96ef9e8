//! The public suite over several models: arrays, module trees, and models that lend their values in other ways.

use std::cell::OnceCell;
use std::sync::{RwLock, RwLockReadGuard};

use secateurs::mask::{FloatType, FloatView};
use secateurs::prunable::{
    LendValues, MaskAction, MaskChange, ParameterView, Prunable, Pruning, check_changes, unknown_parameter,
};
use secateurs::{ArrayModel, FloatArray, Result, testing};

const ALL: [FloatType; 4] = [FloatType::F32, FloatType::F16, FloatType::BF16, FloatType::F64];

#[test]
fn arrays() {
    let make = |arrays: &[(&str, FloatArray)]| {
        let mut model = ArrayModel::new();
        for (name, array) in arrays {
            model.insert(*name, array.clone()).unwrap();
        }
        model
    };
    testing::check_model(&ALL, make);
    testing::check_write_values(&ALL, make);
}

/// Where the values of a model are.
#[derive(Clone, Copy)]
enum Place {
    /// In a lock, as candle's are.
    Locked,
    /// Elsewhere, as on a GPU: copied on first use.
    Elsewhere,
}

struct Parameter {
    name: String,
    array: RwLock<FloatArray>,
    pruning: Option<Pruning>,
}

struct Remote(Place, Vec<Parameter>);

struct Guard<'a>(RwLockReadGuard<'a, FloatArray>);

impl LendValues for Guard<'_> {
    fn lend(&self) -> Result<FloatView<'_>> {
        Ok(self.0.view())
    }
}

struct Copied<'a> {
    from: &'a RwLock<FloatArray>,
    values: OnceCell<FloatArray>,
}

impl LendValues for Copied<'_> {
    fn lend(&self) -> Result<FloatView<'_>> {
        let values = self.values.get_or_init(|| self.from.read().unwrap().clone());
        Ok(values.view())
    }
}

impl Prunable for Remote {
    fn paths(&self) -> Vec<String> {
        self.1.iter().map(|parameter| parameter.name.clone()).collect()
    }

    fn view(&self, path: &str) -> Result<ParameterView<'_>> {
        let number = self.1.iter().position(|parameter| parameter.name == path);
        let number = number.ok_or_else(|| unknown_parameter(self, path))?;
        let parameter = &self.1[number];
        let array = parameter.array.read().unwrap();
        let (shape, float_type) = (array.view().shape().to_vec(), array.view().float_type());
        let (id, pruning) = (number as u64, parameter.pruning.as_ref());
        Ok(match self.0 {
            Place::Locked => ParameterView::lazy(path, id, shape, float_type, Guard(array), pruning),
            Place::Elsewhere => {
                let copied = Copied {
                    from: &parameter.array,
                    values: OnceCell::new(),
                };
                ParameterView::lazy(path, id, shape, float_type, copied, pruning)
            }
        })
    }

    fn commit(&mut self, changes: Vec<MaskChange>) -> Result<()> {
        check_changes(self, &changes)?;
        for MaskChange { path, action } in changes {
            let parameter = self.1.iter_mut().find(|parameter| parameter.name == path);
            let parameter = parameter.expect("the path was checked");
            match action {
                MaskAction::Set(pruning) => parameter.pruning = Some(pruning),
                MaskAction::Discard => parameter.pruning = None,
                MaskAction::Remove => {
                    let pruning = parameter.pruning.take().expect("the mask was checked for");
                    let array = parameter.array.get_mut().unwrap();
                    array.apply_mask(pruning.mask())?;
                }
            }
        }
        Ok(())
    }
}

#[test]
fn values_that_are_lent_on_demand() {
    for place in [Place::Locked, Place::Elsewhere] {
        testing::check_model(&ALL, |arrays| {
            let parameters = arrays.iter().map(|(name, array)| Parameter {
                name: name.to_string(),
                array: RwLock::new(array.clone()),
                pruning: None,
            });
            Remote(place, parameters.collect())
        });
    }
}

#[cfg(feature = "nn")]
#[test]
fn module_trees() {
    use secateurs::nn::{ParamStore, ParamTree, ParamTreeExt};

    #[derive(Default)]
    struct Layer(ParamStore);

    impl ParamTree for Layer {
        fn store(&self) -> Option<&ParamStore> {
            Some(&self.0)
        }

        fn store_mut(&mut self) -> Option<&mut ParamStore> {
            Some(&mut self.0)
        }
    }

    #[derive(Default)]
    struct Network {
        conv: Layer,
        fc: Layer,
        head: Layer,
    }

    secateurs::param_tree!(Network {
        children: [conv, fc, head]
    });

    let make = |arrays: &[(&str, FloatArray)]| {
        let mut model = Network::default();
        for (path, array) in arrays {
            let FloatArray::F32(array) = array else {
                panic!("only f32 was announced")
            };
            let (layer, name) = path.split_once('.').unwrap();
            let layer = match layer {
                "conv" => &mut model.conv,
                "fc" => &mut model.fc,
                _ => &mut model.head,
            };
            layer.0.insert_parameter(name, array.clone()).unwrap();
        }
        model
    };
    testing::check_model(&[FloatType::F32], make);
    testing::check_write_values(&[FloatType::F32], make);
    let (model, arrays) = testing::check_masks(make);
    for name in arrays.names() {
        let effective = model.parameter(name).unwrap().effective().to_owned();
        assert_eq!(
            FloatArray::F32(effective),
            arrays.effective(name).unwrap(),
            "{name}"
        );
    }
}
