//! How arrays are serialised: shape and row-major entries, ±∞ and NaN included.

use ndarray::{ArcArray, Array, IxDyn};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An array in any serde format. In text formats, ±∞ and NaN are written as words, because numbers cannot express
/// them, and finite values as f64, which preserves every f32 exactly.
#[derive(Clone)]
pub(crate) struct Portable(pub ArcArray<f32, IxDyn>);

#[derive(Serialize, Deserialize)]
struct Raw {
    shape: Vec<usize>,
    entries: Entries,
}

struct Entries(Vec<f32>);

impl Serialize for Portable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = Entries(self.0.iter().copied().collect());
        Raw {
            shape: self.0.shape().to_vec(),
            entries,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Portable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Raw { shape, entries } = Raw::deserialize(deserializer)?;
        // ndarray itself refuses shapes that overflow or do not fit the entries.
        let array = Array::from_shape_vec(IxDyn(&shape), entries.0);
        Ok(Portable(array.map_err(D::Error::custom)?.into_shared()))
    }
}

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_seq(self.0.iter().map(|&x| Word(x)))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let words = Vec::<Word>::deserialize(deserializer)?;
            Ok(Entries(words.into_iter().map(|word| word.0).collect()))
        } else {
            Vec::deserialize(deserializer).map(Entries)
        }
    }
}

/// One entry in a text format: a number, or `"inf"`, `"-inf"`, `"NaN"`.
struct Word(f32);

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0.into())
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Word;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, \"inf\", \"-inf\" or \"NaN\"")
            }

            fn visit_f64<E>(self, x: f64) -> Result<Word, E> {
                Ok(Word(x as f32))
            }

            fn visit_u64<E>(self, x: u64) -> Result<Word, E> {
                Ok(Word(x as f32))
            }

            fn visit_i64<E>(self, x: i64) -> Result<Word, E> {
                Ok(Word(x as f32))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Word, E> {
                text.parse().map(Word).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Number)
    }
}
