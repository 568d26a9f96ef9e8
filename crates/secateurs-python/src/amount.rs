//! An amount from Python: an `int`, a `float`, or a `secateurs.Until`.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};
use secateurs::mask::Amount;

use crate::error::raise;

pub(crate) struct AmountArg(pub Amount);

impl<'py> FromPyObject<'_, 'py> for AmountArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let amount = if object.is_instance_of::<PyInt>() {
            // A count that does not fit is larger than any array, and refused as such where it is used.
            let count = match object.extract::<i128>() {
                Ok(count) => count,
                Err(_) if object.lt(0)? => -1,
                Err(_) => i128::MAX,
            };
            Amount::try_from(count)
        } else if object.is_instance_of::<PyFloat>() {
            Amount::fraction(object.extract()?)
        } else if let Ok(share) = object.getattr(intern!(object.py(), "share")) {
            Amount::until(share.extract()?)
        } else {
            let kind = object.get_type().name()?.to_string();
            return Err(PyTypeError::new_err(format!(
                "an amount is an int (a count), a float (a fraction) or secateurs.until(…), not {kind}"
            )));
        };
        amount.map(AmountArg).map_err(raise)
    }
}
