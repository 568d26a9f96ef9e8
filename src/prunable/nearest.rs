//! The known names that are most like an unknown one, for error messages.

/// How many names are suggested.
const MOST: usize = 3;

/// The names that are most like `wanted`, at most three, the nearest first.
///
/// Names rank by the edit distance of their first 64 characters; ties come in the order of the model.
pub(crate) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted: Vec<char> = wanted.chars().take(LONGEST).collect();
    let mut ranked: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| {
            (
                distance(&wanted, &name.chars().take(LONGEST).collect::<Vec<_>>()),
                name,
            )
        })
        .collect();
    ranked.sort_by_key(|(distance, _)| *distance); // stable: ties in the order of the model
    ranked
        .into_iter()
        .take(MOST)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Only this many characters of a name are compared.
const LONGEST: usize = 64;

/// The edit distance of two names: how many characters have to be inserted, deleted or replaced.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_first() {
        let names = [
            "encoder.0.bias",
            "encoder.0.weight",
            "encoder.1.weight",
            "head.weight",
            "norm",
        ];
        assert_eq!(
            nearest("encoder.0.wieght", names),
            ["encoder.0.weight", "encoder.1.weight", "encoder.0.bias"]
        );
        assert_eq!(nearest("weight", ["weight"]), ["weight"]);
        assert!(nearest("weight", []).is_empty());
    }

    #[test]
    fn distances_are_those_of_single_edits() {
        let of = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(of("", "abc"), 3);
        assert_eq!(of("kitten", "sitting"), 3);
        assert_eq!(of("weight", "weight"), 0);
    }
}
