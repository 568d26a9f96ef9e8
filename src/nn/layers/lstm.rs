//! [`Lstm`].

use ndarray::ArrayD;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, MaskError, NnError, Result, TensorError};
use crate::nn::init;
use crate::nn::{Module, ParamStore, Parameter};
use crate::tensor::{LstmLayer, Tensor};

/// A long short-term memory of one or several layers.
///
/// PyTorch's `nn.LSTM`, with its parameter names: for layer `k`, `weight_ih_l{k}` `[4·hidden, input]`,
/// `weight_hh_l{k}` `[4·hidden, hidden]`, `bias_ih_l{k}` and `bias_hh_l{k}` `[4·hidden]`, the gates in the order
/// input, forget, cell, output. Input `[length, N, input]`, or `[N, length, input]` with
/// [`batch_first`](LstmConfig::batch_first); [`forward`](Module::forward) gives the hidden states of the last layer
/// for all steps, [`forward_with_state`](Self::forward_with_state) also the final states.
///
/// ```
/// use ndarray::Array3;
/// use rand::SeedableRng;
/// use secateurs::nn::{Lstm, LstmConfig, Module};
/// use secateurs::tensor::Tensor;
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let mut lstm = Lstm::new(LstmConfig::new(3, 5).layers(2), &mut rng)?;
/// secateurs::prune::l1_unstructured(&mut lstm, "weight_ih_l0", 0.5)?;
/// let output = lstm.forward(&Tensor::new(Array3::zeros((7, 2, 3))))?;
/// assert_eq!(output.shape(), [7, 2, 5]);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Lstm {
    store: ParamStore,
    config: LstmConfig,
}

/// The settings of an [`Lstm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LstmConfig {
    input_size: usize,
    hidden_size: usize,
    layers: usize,
    bias: bool,
    batch_first: bool,
}

impl LstmConfig {
    /// One layer, with biases, the sequence in the first dimension.
    pub fn new(input_size: usize, hidden_size: usize) -> Self {
        LstmConfig {
            input_size,
            hidden_size,
            layers: 1,
            bias: true,
            batch_first: false,
        }
    }

    /// With this many layers, each fed with the hidden states of the one before.
    pub fn layers(mut self, layers: usize) -> Self {
        self.layers = layers;
        self
    }

    /// Without biases.
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// The batch in the first dimension of input and output, the sequence in the second.
    pub fn batch_first(mut self) -> Self {
        self.batch_first = true;
        self
    }

    fn check(&self) -> Result<()> {
        let zero = [("layers", self.layers), ("hidden_size", self.hidden_size)]
            .into_iter()
            .find(|(_, n)| *n == 0);
        match zero {
            Some((setting, _)) => Err(Error::Nn(NnError::InvalidSetting {
                what: "Lstm",
                setting,
                value: "0".to_owned(),
                reason: "it must be at least 1",
            })),
            None => Ok(()),
        }
    }

    /// All layers together, so that an enormous number of layers is refused before the first is made.
    fn check_memory(&self) -> Result<()> {
        let (layers, gates) = (self.layers, self.hidden_size.saturating_mul(4));
        let (input, hidden) = ([gates, self.input_size], [layers, gates, self.hidden_size]);
        init::check_memory("Lstm", &[&input, &hidden])
    }

    /// The names and shapes of the parameters, in PyTorch's order.
    fn parameters(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        let (gates, hidden) = (self.hidden_size.saturating_mul(4), self.hidden_size);
        let (input, bias) = (self.input_size, self.bias);
        (0..self.layers).flat_map(move |layer| {
            let inputs = if layer == 0 { input } else { hidden };
            let all = [
                (format!("weight_ih_l{layer}"), vec![gates, inputs]),
                (format!("weight_hh_l{layer}"), vec![gates, hidden]),
                (format!("bias_ih_l{layer}"), vec![gates]),
                (format!("bias_hh_l{layer}"), vec![gates]),
            ];
            all.into_iter().take(if bias { 4 } else { 2 })
        })
    }
}

/// The hidden and the cell state of an [`Lstm`], each `[layers, N, hidden]`.
#[derive(Clone, Debug)]
pub struct LstmState {
    /// The hidden state, PyTorch's `h_n`.
    pub hidden: Tensor,
    /// The cell state, PyTorch's `c_n`.
    pub cell: Tensor,
}

impl Lstm {
    /// An LSTM with PyTorch's default initialisation: everything uniform within `1 / √hidden_size`.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if there are no layers or no hidden units, or the
    /// parameters do not fit in memory.
    pub fn new(config: LstmConfig, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
        config.check()?;
        config.check_memory()?;
        let bound = init::fan_in_bound(config.hidden_size);
        let mut store = ParamStore::new();
        for (name, shape) in config.parameters() {
            store.insert_parameter(&name, init::uniform("Lstm", &shape, bound, rng)?)?;
        }
        Ok(Lstm { store, config })
    }

    /// The parameters, in PyTorch's order: those of each layer, weights first.
    ///
    /// PyTorch's `_flat_weights`.
    pub fn flat_weights(&self) -> Vec<&Parameter> {
        self.config
            .parameters()
            .filter_map(|(name, _)| self.store.parameter(&name))
            .collect()
    }

    /// The output for all steps and the final states, starting from given states or from zeros.
    ///
    /// # Errors
    ///
    /// [`TensorError`](crate::error::TensorError) if a shape does not fit.
    pub fn forward_with_state(
        &self,
        input: &Tensor,
        state: Option<&LstmState>,
    ) -> Result<(Tensor, LstmState)> {
        let (output, state) = self.run(input, state)?;
        self.store.forward_hooks().call(input, &output);
        Ok((output, state))
    }

    fn run(&self, input: &Tensor, state: Option<&LstmState>) -> Result<(Tensor, LstmState)> {
        if input.ndim() != 3 {
            return Err(Error::Tensor(TensorError {
                op: "Lstm",
                reason: "the input needs 3 dimensions: length, batch and features".to_owned(),
                shapes: vec![input.shape().to_vec()],
            }));
        }
        if input.shape()[2] != self.config.input_size {
            return Err(Error::Tensor(TensorError {
                op: "Lstm",
                reason: format!("the input needs {} features", self.config.input_size),
                shapes: vec![input.shape().to_vec()],
            }));
        }
        let by_step = if self.config.batch_first {
            input.transpose(0, 1)?
        } else {
            input.clone()
        };
        let batch = by_step.shape()[1];
        let expected = [self.config.layers, batch, self.config.hidden_size];
        if let Some(state) = state
            && (state.hidden.shape() != expected || state.cell.shape() != expected)
        {
            return Err(Error::Tensor(TensorError {
                op: "Lstm",
                reason: format!("the initial states need shape {expected:?}: layers, batch and hidden units"),
                shapes: [input, &state.hidden, &state.cell]
                    .map(|t| t.shape().to_vec())
                    .into(),
            }));
        }
        let zeros = || Tensor::new(ArrayD::zeros(vec![batch, self.config.hidden_size]));
        let (mut steps, mut hiddens, mut cells) = (by_step, Vec::new(), Vec::new());
        for layer in 0..self.config.layers {
            let (hidden, cell) = match state {
                Some(state) => (state.hidden.select(0, layer)?, state.cell.select(0, layer)?),
                None => (zeros(), zeros()),
            };
            let (outputs, hidden, cell) = self.layer(layer, &steps, hidden, cell)?;
            steps = outputs;
            hiddens.push(hidden);
            cells.push(cell);
        }
        let output = if self.config.batch_first {
            steps.transpose(0, 1)?
        } else {
            steps
        };
        Ok((
            output,
            LstmState {
                hidden: Tensor::stack(&hiddens, 0)?,
                cell: Tensor::stack(&cells, 0)?,
            },
        ))
    }

    /// One layer over all steps `[length, N, inputs]`: all its hidden states, the last one, and the last cell state.
    fn layer(
        &self,
        layer: usize,
        steps: &Tensor,
        hidden: Tensor,
        cell: Tensor,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        if steps.shape()[0] == 0 {
            return Err(Error::Tensor(TensorError {
                op: "Lstm",
                reason: "the sequence has no steps; give at least one".to_owned(),
                shapes: vec![steps.shape().to_vec()],
            }));
        }
        let tensor = |kind: &str| self.store.tensor(&format!("{kind}_l{layer}"));
        let bias = |kind: &str| self.store.optional_tensor(&format!("{kind}_l{layer}"));
        let bias = match (bias("bias_ih"), bias("bias_hh")) {
            (Some(of_input), Some(of_hidden)) => Some(of_input.add(&of_hidden)?),
            _ => None,
        };
        let layer = LstmLayer {
            weight_ih: tensor("weight_ih")?,
            weight_hh: tensor("weight_hh")?,
            bias,
        };
        layer.run(steps, &hidden, &cell)
    }
}

#[derive(Deserialize)]
struct Raw {
    store: ParamStore,
    config: LstmConfig,
}

impl TryFrom<Raw> for Lstm {
    type Error = Error;

    fn try_from(Raw { store, config }: Raw) -> Result<Self> {
        config.check()?;
        for (name, expected) in config.parameters() {
            let got = store.parameter(&name).map(|parameter| parameter.shape());
            if got != Some(&expected[..]) {
                let got = got.unwrap_or_default().to_vec();
                return Err(Error::Mask(MaskError::ShapeMismatch {
                    what: "a parameter of an LSTM",
                    expected,
                    got,
                })
                .at(&name));
            }
        }
        Ok(Lstm { store, config })
    }
}

crate::param_tree!(Lstm { store: store });

#[typetag::serde(name = "secateurs::Lstm")]
impl Module for Lstm {
    fn compute(&self, input: &Tensor) -> Result<Tensor> {
        Ok(self.run(input, None)?.0)
    }
}
