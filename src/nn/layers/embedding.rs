//! [`Embedding`].

use ndarray::Array2;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, MaskError, Result, TensorError};
use crate::nn::init;
use crate::nn::{Module, ParamStore};
use crate::tensor::Tensor;

/// A table of vectors, one for each token.
///
/// PyTorch's `nn.Embedding`. Input token numbers of any shape, output the same shape with a further dimension
/// `embedding_dim`; parameter `weight` `[num_embeddings, embedding_dim]`.
///
/// A [`Tensor`] holds f32, so a token number is a float that is a whole number, which is checked. All whole numbers up
/// to 16,777,216 are floats, many more than a vocabulary has. So an embedding is a module like any other, and can be
/// the first of a [`Sequential`](super::Sequential). No gradient reaches the token numbers.
///
/// ```
/// use ndarray::array;
/// use secateurs::nn::{Embedding, Module};
/// use secateurs::tensor::Tensor;
///
/// let layer = Embedding::from_array(array![[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]);
/// let output = layer.forward(&Tensor::new(array![2.0, 0.0]))?;
/// assert_eq!(output.to_array(), array![[2.0, 2.5], [0.0, 0.5]].into_dyn());
/// assert!(layer.forward(&Tensor::new(array![3.0])).is_err());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Embedding {
    store: ParamStore,
}

#[derive(Deserialize)]
struct Raw {
    store: ParamStore,
}

impl TryFrom<Raw> for Embedding {
    type Error = Error;

    fn try_from(Raw { store }: Raw) -> Result<Self> {
        let shape = store
            .parameter("weight")
            .map(|weight| weight.shape())
            .unwrap_or_default();
        if shape.len() != 2 {
            return Err(Error::Mask(MaskError::ShapeMismatch {
                what: "`weight` of an embedding",
                expected: vec![0, 0],
                got: shape.to_vec(),
            }));
        }
        Ok(Embedding { store })
    }
}

impl Embedding {
    /// A table with PyTorch's default initialisation: entries of the standard normal distribution.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if the parameters do not fit in memory.
    pub fn new(num_embeddings: usize, embedding_dim: usize, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
        let mut store = ParamStore::new();
        let weight = init::normal("Embedding", &[num_embeddings, embedding_dim], rng)?;
        store.insert_parameter("weight", weight)?;
        Ok(Embedding { store })
    }

    /// A layer with the given table `[num_embeddings, embedding_dim]`. PyTorch's `Embedding.from_pretrained`, with
    /// `freeze=False`.
    pub fn from_array(weight: Array2<f32>) -> Self {
        let mut store = ParamStore::new();
        let inserted = store.insert_parameter("weight", weight);
        inserted.expect("an empty store has no other name");
        Embedding { store }
    }
}

crate::param_tree!(Embedding { store: store });

#[typetag::serde(name = "secateurs::Embedding")]
impl Module for Embedding {
    fn compute(&self, input: &Tensor) -> Result<Tensor> {
        let weight = self.store.tensor("weight")?;
        let (tokens, dim) = (weight.shape()[0], weight.shape()[1]);
        let numbers = input.value();
        let numbers = numbers.iter().map(|&number| {
            // Beyond what a usize holds, the conversion saturates, and there is no such token.
            let token = number as usize;
            if number.fract() == 0.0 && number >= 0.0 && token < tokens {
                return Ok(token);
            }
            Err(Error::Tensor(TensorError {
                op: "Embedding",
                reason: format!("{number} is none of {tokens} tokens; they are whole numbers from 0"),
                shapes: vec![input.shape().to_vec(), weight.shape().to_vec()],
            }))
        });
        let rows = weight.index_select(0, &numbers.collect::<Result<Vec<_>>>()?)?;
        rows.reshape(&[input.shape(), &[dim]].concat())
    }
}
