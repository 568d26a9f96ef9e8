//! [`Share`]: a number in [0, 1] that survives serialisation.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::TrainError;
use crate::error::Result;

/// A share in [0, 1], once it is checked.
///
/// It is serialised as text, because some parsers get the last digit of a number wrong, and a resumed run has to go on
/// with the same bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share(pub f64);

impl Share {
    pub fn check(self) -> Result<()> {
        match (0.0..=1.0).contains(&self.0) {
            true => Ok(()),
            false => Err(TrainError::ShareOutOfRange { value: self.0 }.into()),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Share).map_err(serde::de::Error::custom)
    }
}
