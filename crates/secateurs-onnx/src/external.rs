//! [`External`]: files of weights beside a model, as ONNX calls "external data".

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

use crate::entries::Entries;
use crate::error::{Error, Result};
use crate::graph::{contradiction, field};
use crate::input_file::InputFile;
use crate::proto::{Field, fields};
use crate::tensor;

/// Files of weights: by location, pieces by where they begin.
#[derive(Default)]
pub struct External<'a> {
    files: BTreeMap<String, BTreeMap<usize, Entries<'a>>>,
}

/// Where the entries of a tensor are.
pub struct Place<'a> {
    pub location: &'a str,
    pub offset: usize,
    pub length: Option<usize>,
}

impl<'a> External<'a> {
    /// A file of these pieces.
    pub fn of<'p>(location: &str, pieces: impl Iterator<Item = &'p Entries<'a>>) -> Self
    where
        'a: 'p,
    {
        let mut begin = 0;
        let mut by_begin = BTreeMap::new();
        for piece in pieces.filter(|piece| piece.len() > 0) {
            by_begin.insert(begin, piece.clone());
            begin += piece.len();
        }
        External {
            files: BTreeMap::from([(location.to_owned(), by_begin)]),
        }
    }

    /// Several files, each as a whole.
    pub fn files(files: &'a [(String, InputFile)]) -> Self {
        let files = files.iter().map(|(location, file)| {
            let len = usize::try_from(file.len()).unwrap_or(usize::MAX);
            let all = Entries::File { file, offset: 0, len };
            (location.clone(), BTreeMap::from([(0, all)]))
        });
        External {
            files: files.collect(),
        }
    }

    /// The entries of a tensor.
    pub fn entries(&self, name: &str, place: &Place<'_>) -> Result<Entries<'a>> {
        let pieces = self.files.get(place.location);
        let missing = || Error::Inconsistent {
            at: name.to_owned(),
            reason: format!(
                "its entries are in the file `{}`, which was not given",
                place.location
            ),
        };
        if place.length == Some(0) {
            return Ok(Entries::Memory(&[]));
        }
        let pieces = pieces.ok_or_else(missing)?;
        let short = || contradiction(name, "its entries lie beyond the end of the file of weights");
        let (begin, piece) = pieces.range(..=place.offset).next_back().ok_or_else(short)?;
        let from = place.offset - begin;
        let to = match place.length {
            Some(length) => from.checked_add(length).ok_or_else(short)?,
            None => piece.len(),
        };
        piece.part(from..to).ok_or_else(short)
    }
}

impl<'a> Place<'a> {
    /// Reads the entries `external_data` of a `TensorProto`.
    pub fn read(name: &str, tensor: &[Field<'a>]) -> Result<Self> {
        let mut place = Place {
            location: "",
            offset: 0,
            length: None,
        };
        for entry in tensor
            .iter()
            .filter(|each| each.number == tensor::field::EXTERNAL_DATA)
        {
            let (mut key, mut value) = ("", "");
            for each in fields(entry.bytes().unwrap_or(&[]))? {
                match each.number {
                    1 => key = each.text().unwrap_or(""),
                    2 => value = each.text().unwrap_or(""),
                    _ => {}
                }
            }
            let number = || {
                let number = value.parse().ok();
                number.ok_or_else(|| contradiction(name, "the place of its entries is not a number"))
            };
            match key {
                "location" => place.location = value,
                "offset" => place.offset = number()?,
                "length" => place.length = Some(number()?),
                _ => {}
            }
        }
        Ok(place)
    }
}

/// Opens the files of weights that a model names, by their locations. They have to lie in the folder of the model, so that
/// a foreign model cannot read others.
pub fn open_files(model: &Path, bytes: &[u8]) -> Result<Vec<(String, InputFile)>> {
    let mut files: Vec<(String, InputFile)> = Vec::new();
    let folder = match model.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let is_graph = |each: &&Field<'_>| each.number == field::MODEL_GRAPH;
    for graph in fields(bytes)?.iter().filter(is_graph).filter_map(Field::bytes) {
        let tensors = fields(graph)?;
        let tensors = tensors
            .iter()
            .filter(|each| each.number == field::GRAPH_INITIALIZER);
        for tensor in tensors.filter_map(Field::bytes) {
            let tensor = fields(tensor)?;
            if !tensor::is_external(&tensor) {
                continue;
            }
            let name = tensor.iter().find(|each| each.number == tensor::field::NAME);
            let name = name.and_then(Field::text).unwrap_or("");
            let location = Place::read(name, &tensor)?.location;
            if files.iter().any(|(known, _)| known == location) {
                continue;
            }
            let path = folder.join(location);
            let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            let outside = || Error::Outside {
                location: location.to_owned(),
                at: name.to_owned(),
            };
            if location.is_empty() || !Path::new(location).components().all(inside) {
                return Err(outside());
            }
            let failed = |error| Error::Io {
                action: "read",
                path: path.clone(),
                error,
            };
            // A link may lead out, too.
            let real = fs::canonicalize(&path).map_err(failed)?;
            if !real.starts_with(fs::canonicalize(folder).map_err(failed)?) {
                return Err(outside());
            }
            files.push((location.to_owned(), InputFile::open(&path, &real)?));
        }
    }
    Ok(files)
}
