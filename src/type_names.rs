//! The names under which `typetag` knows types: a name that several types have registered cannot be loaded.

use std::cell::Cell;

use serde::de::value::{Error as ProbeError, MapDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde::{Deserialize, Deserializer, ser};

/// An error, on saving, where several types are registered under a name; `T` is the trait object, `what` its plural.
pub(crate) fn check<T: ?Sized, E: ser::Error>(what: &str, name: &str) -> Result<(), E>
where
    Box<T>: DeserializeOwned,
{
    if has_one_type::<T>(name) {
        return Ok(());
    }
    Err(E::custom(format!(
        "several types of {what} are registered as `{name}`, so it could not be loaded; \
         name each by #[typetag::serde(name = \"…\")]"
    )))
}

/// Whether exactly one type is registered under a name.
///
/// The registry can only be queried by loading a value. So this loads one that records when it is read, and then
/// fails.
fn has_one_type<T: ?Sized>(name: &str) -> bool
where
    Box<T>: DeserializeOwned,
{
    struct Probe<'a>(&'a Cell<bool>);

    impl<'de> IntoDeserializer<'de, ProbeError> for Probe<'_> {
        type Deserializer = Self;

        fn into_deserializer(self) -> Self {
            self
        }
    }

    impl<'de> Deserializer<'de> for Probe<'_> {
        type Error = ProbeError;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ProbeError> {
            self.0.set(true);
            Err(de::Error::custom("there is nothing to load"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
        }
    }

    let read = Cell::new(false);
    let map = MapDeserializer::new(std::iter::once((name, Probe(&read))));
    let _ = Box::<T>::deserialize(map);
    read.get()
}
