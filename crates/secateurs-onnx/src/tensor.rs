//! [`Constant`]: an initializer, or the value of a `Constant` node.

use std::sync::Arc;

use half::{bf16, f16};

use crate::entries::Entries;
use crate::error::{Error, Result};
use crate::external::{External, Place};
use crate::proto::{Field, bytes_field, fields, varint_field};
use crate::quantized::Quantization;
use crate::skeleton::part;

/// An array that is part of the model.
#[derive(Clone, Debug)]
pub struct Constant<'a> {
    /// Its name.
    pub name: &'a str,
    /// The length of each dimension.
    pub dims: Vec<usize>,
    /// The type of its entries.
    pub dtype: DType,
    /// Its entries.
    data: Data<'a>,
    /// Whether its entries are in a file of their own.
    pub is_external: bool,
    /// What its entries stand for, if it is a quantized weight.
    pub quantization: Option<Arc<Quantization>>,
    /// All fields of the message.
    pub fields: Vec<Field<'a>>,
}

/// The number of the type of 32-bit floats.
pub const FLOAT: i64 = 1;

/// The number of the type of unsigned bytes.
pub const UINT8: i64 = 2;

/// The number of the type of 32-bit integers.
pub const INT32: i64 = 6;

/// The number of the type of 64-bit integers.
pub const INT64: i64 = 7;

/// A `TensorProto` with these entries, little-endian.
pub fn message(name: &str, dims: &[usize], dtype: i64, raw: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    dims.iter()
        .for_each(|dim| varint_field(&mut message, field::DIMS, *dim as u64));
    varint_field(&mut message, field::DATA_TYPE, dtype as u64);
    bytes_field(&mut message, field::NAME, name.as_bytes());
    bytes_field(&mut message, field::RAW_DATA, raw);
    message
}

/// Numbers as `raw_data` has them; `None` for a type that is not understood.
pub fn encode(dtype: i64, values: &[f64]) -> Option<Vec<u8>> {
    let values = values.iter();
    Some(match dtype {
        1 => values.flat_map(|x| (*x as f32).to_le_bytes()).collect(),
        2 => values.map(|x| *x as u8).collect(),
        3 => values.flat_map(|x| (*x as i8).to_le_bytes()).collect(),
        4 => values.flat_map(|x| (*x as u16).to_le_bytes()).collect(),
        5 => values.flat_map(|x| (*x as i16).to_le_bytes()).collect(),
        6 => values.flat_map(|x| (*x as i32).to_le_bytes()).collect(),
        INT64 => values.flat_map(|x| (*x as i64).to_le_bytes()).collect(),
        10 => values.flat_map(|x| f16::from_f64(*x).to_le_bytes()).collect(),
        11 => values.flat_map(|x| x.to_le_bytes()).collect(),
        16 => values.flat_map(|x| bf16::from_f64(*x).to_le_bytes()).collect(),
        _ => return None,
    })
}

/// The types of entries that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    F32,
    F64,
    F16,
    BF16,
    I64,
    /// Any other, by its number.
    Other(i64),
}

#[derive(Clone, Debug)]
enum Data<'a> {
    /// Little-endian, as `raw_data` has them.
    Raw(Entries<'a>),
    /// From one of the typed fields.
    Floats(Vec<f64>),
    Ints(Vec<i64>),
}

/// Numbers of the fields of a `TensorProto`.
pub mod field {
    pub const DIMS: u64 = 1;
    pub const DATA_TYPE: u64 = 2;
    pub const FLOAT_DATA: u64 = 4;
    pub const INT32_DATA: u64 = 5;
    pub const INT64_DATA: u64 = 7;
    pub const NAME: u64 = 8;
    pub const RAW_DATA: u64 = 9;
    pub const DOUBLE_DATA: u64 = 10;
    pub const EXTERNAL_DATA: u64 = 13;
    pub const DATA_LOCATION: u64 = 14;
}

/// Whether a tensor of these fields has its entries in a file of their own.
pub fn is_external(fields: &[Field<'_>]) -> bool {
    let location = fields.iter().rfind(|each| each.number == field::DATA_LOCATION);
    location.and_then(Field::int) == Some(1)
}

impl DType {
    fn of(number: i64) -> Self {
        match number {
            1 => DType::F32,
            INT64 => DType::I64,
            10 => DType::F16,
            11 => DType::F64,
            16 => DType::BF16,
            other => DType::Other(other),
        }
    }

    /// Bytes of an entry in `raw_data`; `None` for types that are not understood.
    pub fn size(self) -> Option<usize> {
        match self {
            DType::F64 | DType::I64 => Some(8),
            DType::F32 => Some(4),
            DType::F16 | DType::BF16 | DType::Other(4 | 5) => Some(2),
            DType::Other(2 | 3) => Some(1),
            DType::Other(6) => Some(4),
            DType::Other(_) => None,
        }
    }

    /// Its number in the format.
    pub fn number(self) -> i64 {
        match self {
            DType::F32 => 1,
            DType::I64 => INT64,
            DType::F16 => 10,
            DType::F64 => 11,
            DType::BF16 => 16,
            DType::Other(number) => number,
        }
    }

    /// Whether its entries are floats.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }
}

impl<'a> Constant<'a> {
    /// The name of a `TensorProto`.
    pub fn name(message: &'a [u8]) -> Result<&'a str> {
        let fields = fields(message)?;
        let name = fields.iter().rfind(|each| each.number == field::NAME);
        Ok(name.and_then(Field::text).unwrap_or(""))
    }

    /// Reads a `TensorProto`, and checks that it has as many entries as its shape. `parts` and `external` are where
    /// entries can be that are not in the message.
    pub fn read(message: &'a [u8], parts: &[Entries<'a>], external: &External<'a>) -> Result<Self> {
        let fields = fields(message)?;
        let (mut dims, mut number, mut name, mut raw) = (Vec::new(), 0, "", None);
        let (mut floats, mut ints) = (Vec::new(), Vec::new());
        for each in &fields {
            match each.number {
                field::DIMS => each.ints(&mut dims)?,
                field::DATA_TYPE => number = each.int().unwrap_or(0),
                field::NAME => name = each.text().unwrap_or(""),
                field::RAW_DATA => {
                    raw = each
                        .bytes()
                        .map(Entries::Memory)
                        .or_else(|| part(parts, each).cloned())
                }
                field::FLOAT_DATA => {
                    match (each.bytes(), each.float()) {
                        (Some(packed), _) => floats.extend(packed.chunks_exact(4).map(|four| {
                            f64::from(f32::from_le_bytes(four.try_into().expect("chunks of four")))
                        })),
                        (None, Some(value)) => floats.push(f64::from(value)),
                        _ => {}
                    }
                }
                field::DOUBLE_DATA => floats.extend(
                    each.bytes()
                        .unwrap_or(&[])
                        .chunks_exact(8)
                        .map(|eight| f64::from_le_bytes(eight.try_into().expect("chunks of eight"))),
                ),
                field::INT64_DATA | field::INT32_DATA => each.ints(&mut ints)?,
                _ => {}
            }
        }
        let is_external = is_external(&fields);
        if is_external {
            raw = Some(external.entries(name, &Place::read(name, &fields)?)?);
        }
        let dtype = DType::of(number);
        let dims = dims
            .into_iter()
            .map(usize::try_from)
            .collect::<Result<Vec<_>, _>>();
        let dims = dims.map_err(|_| wrong(name, "a dimension is negative"))?;
        let data = match (raw, dtype) {
            (Some(raw), _) => Data::Raw(raw),
            // Halves in `int32_data` are bits.
            (None, DType::F16) => Data::Floats(
                ints.iter()
                    .map(|bits| f16::from_bits(*bits as u16).to_f64())
                    .collect(),
            ),
            (None, DType::BF16) => Data::Floats(
                ints.iter()
                    .map(|bits| bf16::from_bits(*bits as u16).to_f64())
                    .collect(),
            ),
            (None, DType::F32 | DType::F64) => Data::Floats(floats),
            (None, _) => Data::Ints(ints),
        };
        let entries = dims
            .iter()
            .try_fold(1_usize, |product, dim| product.checked_mul(*dim));
        let entries = entries.ok_or_else(|| wrong(name, "its shape has too many entries"))?;
        let got = match (&data, dtype.size()) {
            (Data::Raw(raw), Some(size)) if raw.len().is_multiple_of(size) => Some(raw.len() / size),
            (Data::Raw(_), Some(_)) => Some(usize::MAX),
            (Data::Raw(_), None) => None,
            (Data::Floats(floats), _) => Some(floats.len()),
            (Data::Ints(ints), _) => Some(ints.len()),
        };
        if got.is_some_and(|got| got != entries) {
            return Err(wrong(name, "it does not have as many entries as its shape"));
        }
        Ok(Constant {
            name,
            dims,
            dtype,
            data,
            is_external,
            quantization: None,
            fields,
        })
    }

    /// Another constant of the same type.
    pub fn made(&self, name: &'a str, value: &ndarray::ArrayD<f64>) -> Self {
        Constant {
            name,
            dims: value.shape().to_vec(),
            data: Data::Floats(value.iter().copied().collect()),
            ..self.clone()
        }
    }

    /// The same under another name.
    pub fn named(self, name: &'a str) -> Self {
        Constant { name, ..self }
    }

    /// The same as a weight whose entries stand for other numbers.
    pub fn quantized(self, quantization: Quantization) -> Self {
        Constant {
            quantization: Some(quantization.into()),
            ..self
        }
    }

    /// Whether its entries are floats, or stand for some.
    pub fn is_float(&self) -> bool {
        self.dtype.is_float() || self.quantization.is_some()
    }

    /// The number of the type that nodes read it as.
    pub fn read_as(&self) -> i64 {
        let quantization = self.quantization.as_ref();
        quantization.map_or(self.dtype.number(), |quantization| quantization.read_as)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The entries, or what they stand for, in f64; `None` if they are not floats.
    pub fn floats(&self) -> Option<Vec<f64>> {
        let mut all = Vec::with_capacity(self.len());
        let appended = self.for_each_chunk(usize::MAX, &mut |values| all.extend_from_slice(values));
        appended.then_some(all)
    }

    /// Gives the entries, or what they stand for, in f64, in order, at most this number at once; all but the last pieces
    /// have as many. `false` if they are not floats, or cannot be read.
    pub fn for_each_chunk(&self, most: usize, take: &mut dyn FnMut(&[f64])) -> bool {
        if !self.is_float() {
            return false;
        }
        let mut at = 0;
        let mut values = Vec::new();
        let mut give = |values: &mut Vec<f64>| {
            if let Some(quantization) = &self.quantization {
                quantization.numbers(&self.dims, at, values);
            }
            at += values.len();
            take(values);
            values.clear();
        };
        match (&self.data, self.dtype.size()) {
            (Data::Raw(raw), Some(size)) => {
                let read = raw.for_each_chunk(&mut |chunk| {
                    for bytes in chunk.chunks(most.saturating_mul(size)) {
                        widen(self.dtype, bytes, &mut values);
                        give(&mut values);
                    }
                    Ok(())
                });
                read.is_ok()
            }
            (Data::Raw(_), None) => false,
            (Data::Floats(floats), _) => {
                for floats in floats.chunks(most) {
                    values.extend_from_slice(floats);
                    give(&mut values);
                }
                true
            }
            (Data::Ints(ints), _) => {
                for ints in ints.chunks(most) {
                    values.extend(ints.iter().map(|x| *x as f64));
                    give(&mut values);
                }
                true
            }
        }
    }

    /// The entries as integers; `None` if they are not of int64.
    pub fn ints(&self) -> Option<Vec<i64>> {
        match self.dtype {
            DType::I64 => self.integers(),
            _ => None,
        }
    }

    /// The entries as integers, of any type of integers or of booleans.
    pub fn integers(&self) -> Option<Vec<i64>> {
        let raw = match &self.data {
            Data::Ints(ints) => return Some(ints.clone()),
            Data::Floats(_) => return None,
            Data::Raw(raw) => raw.bytes().ok()?,
        };
        Some(match self.dtype.number() {
            2 | 9 => raw.iter().map(|x| i64::from(*x)).collect(),
            3 => raw.iter().map(|x| i64::from(*x as i8)).collect(),
            4 => raw
                .as_chunks()
                .0
                .iter()
                .map(|x| i64::from(u16::from_le_bytes(*x)))
                .collect(),
            5 => raw
                .as_chunks()
                .0
                .iter()
                .map(|x| i64::from(i16::from_le_bytes(*x)))
                .collect(),
            6 => raw
                .as_chunks()
                .0
                .iter()
                .map(|x| i64::from(i32::from_le_bytes(*x)))
                .collect(),
            INT64 => raw.as_chunks().0.iter().map(|x| i64::from_le_bytes(*x)).collect(),
            12 => raw
                .as_chunks()
                .0
                .iter()
                .map(|x| i64::from(u32::from_le_bytes(*x)))
                .collect(),
            _ => return None,
        })
    }

    /// The entries as `raw_data` has them.
    pub fn raw(&self) -> Option<Entries<'a>> {
        let own = |bytes: Vec<u8>| Entries::Own(bytes.into());
        match &self.data {
            Data::Raw(raw) => Some(raw.clone()),
            Data::Floats(floats) => encode(self.dtype.number(), floats).map(own),
            Data::Ints(ints) if self.dtype == DType::I64 => {
                Some(own(ints.iter().flat_map(|x| x.to_le_bytes()).collect()))
            }
            Data::Ints(ints) => {
                let values: Vec<f64> = ints.iter().map(|x| *x as f64).collect();
                encode(self.dtype.number(), &values).map(own)
            }
        }
    }
}

/// Appends numbers of this type in f64.
fn widen(dtype: DType, bytes: &[u8], values: &mut Vec<f64>) {
    let halves = bytes.as_chunks().0.iter().map(|two| u16::from_le_bytes(*two));
    match dtype {
        DType::F32 => values.extend(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|four| f64::from(f32::from_le_bytes(*four))),
        ),
        DType::F64 => values.extend(bytes.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight))),
        DType::F16 => values.extend(halves.map(|bits| f16::from_bits(bits).to_f64())),
        DType::BF16 => values.extend(halves.map(|bits| bf16::from_bits(bits).to_f64())),
        DType::Other(2) => values.extend(bytes.iter().map(|x| f64::from(*x))),
        DType::Other(3) => values.extend(bytes.iter().map(|x| f64::from(*x as i8))),
        DType::Other(4) => values.extend(halves.map(f64::from)),
        DType::Other(5) => values.extend(halves.map(|bits| f64::from(bits as i16))),
        DType::Other(6) => values.extend(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|four| f64::from(i32::from_le_bytes(*four))),
        ),
        DType::I64 | DType::Other(_) => {}
    }
}

/// Floats as `raw_data` has them.
pub fn decode(dtype: DType, raw: &[u8]) -> Vec<f64> {
    let mut values = Vec::new();
    widen(dtype, raw, &mut values);
    values
}

/// What a number becomes as an entry of this type.
pub fn rounded(dtype: i64, x: f64) -> f64 {
    match dtype {
        FLOAT => f64::from(x as f32),
        10 => f16::from_f64(x).to_f64(),
        16 => bf16::from_f64(x).to_f64(),
        _ => x,
    }
}

fn wrong(name: &str, reason: &str) -> Error {
    Error::Inconsistent {
        at: name.to_owned(),
        reason: reason.to_owned(),
    }
}
