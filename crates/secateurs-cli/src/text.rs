//! Numbers and tables for people.

use std::io::{self, Write};
use std::path::Path;

use indicatif::{DecimalBytes, HumanCount};

/// `1234567` as `1,234,567`.
pub fn count(n: usize) -> String {
    HumanCount(n as u64).to_string()
}

/// `1 file`, `2 files`.
pub fn number_of(n: usize, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A share as a percentage of two decimals, which says 0 and 100 only where that is so.
pub fn percent(part: usize, all: usize) -> String {
    if all == 0 {
        return "–".into();
    }
    let rounded = 100.0 * part as f64 / all as f64;
    let shown = match rounded {
        _ if part == 0 || part == all => rounded,
        _ => rounded.clamp(0.01, 99.99),
    };
    format!("{shown:.2}%")
}

/// `[2, 3]` as `2×3`.
pub fn shape(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "scalar".into();
    }
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}

/// Bytes in the unit that fits, by powers of 1000.
pub fn bytes(n: u64) -> String {
    DecimalBytes(n).to_string()
}

/// A text without control characters, which would change what a terminal does: they are written as in JSON.
pub fn plain(text: &str, keep_lines: bool) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if keep_lines => plain.push(c),
            c if c.is_control() => plain.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => plain.push(c),
        }
    }
    plain
}

/// A path as it is shown.
pub fn path(path: &Path) -> String {
    plain(&path.display().to_string(), false)
}

/// A path as text in JSON, which cannot hold all paths as they are.
pub fn json_path<S: serde::Serializer>(path: &&Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Names, as many as a line holds.
pub fn some_of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    const SHOWN: usize = 4;
    let more = names.clone().count().saturating_sub(SHOWN);
    let mut shown: Vec<String> = names.take(SHOWN).map(|name| plain(name, false)).collect();
    if more > 0 {
        shown.push(format!("and {} more", count(more)));
    }
    shown.join(", ")
}

/// A share of `width` characters as a bar of full and empty blocks.
pub fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    // A share above 0 is never drawn as an empty bar.
    let eighths = if share > 0.0 { eighths.max(1) } else { eighths };
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    let drawn = eighths / 8 + usize::from(!part.is_empty());
    format!("{}{part}{}", "█".repeat(eighths / 8), "·".repeat(width - drawn))
}

/// How a column is set.
#[derive(Clone, Copy)]
pub enum Align {
    Left,
    Right,
}

/// A table of more rows than this is cut,
const MANY: usize = 200;

/// to this many.
const FIRST: usize = 20;

/// A table, as wide as what is in it.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
    /// Whether the last row is a total, and stands below a line.
    total: bool,
}

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
            total: false,
        }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows
            .push(cells.iter().map(|cell| plain(cell, false)).collect());
    }

    pub fn total(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
        self.total = true;
    }

    /// Writes the table. Unless all rows are wanted, of very many only the first are written.
    pub fn write(&self, all: bool, out: &mut impl Write) -> io::Result<()> {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells
                .chain([self.columns[column].0.chars().count()])
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let cells = cells.zip(&self.columns).zip(&widths);
            let cells = cells.map(|((cell, (_, align)), width)| match align {
                // Not by the width of a format, which is at most 65,535.
                Align::Left => format!("{cell}{}", " ".repeat(width - cell.chars().count())),
                Align::Right => format!("{}{cell}", " ".repeat(width - cell.chars().count())),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        writeln!(out, "{}", line(&mut self.columns.iter().map(|(title, _)| *title)))?;
        let end = self.rows.len() - usize::from(self.total);
        let left_out = if all || end <= MANY { 0..0 } else { FIRST..end };
        for (number, row) in self.rows.iter().enumerate() {
            if number == left_out.start && !left_out.is_empty() {
                let more = number_of(left_out.len(), "more row");
                writeln!(out, "… and {more}; --verbose shows them, --json has them all")?;
            }
            if left_out.contains(&number) {
                continue;
            }
            if self.total && number == end {
                let rule = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
                writeln!(out, "{}", "─".repeat(rule))?;
            }
            writeln!(out, "{}", line(&mut row.iter().map(String::as_str)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            plain("a\u{1b}]0;x\u{7}\n\u{9b}ü", false),
            "a\\u001b]0;x\\u0007\\u000a\\u009bü"
        );
        assert_eq!(plain("a\nb", true), "a\nb");
    }

    #[test]
    fn long_tables_are_cut_unless_all_is_wanted() {
        let lines = |rows: usize, all: bool| {
            let mut table = Table::new(&[("tensor", Align::Left)]);
            (0..rows).for_each(|row| table.row(vec![row.to_string()]));
            table.total(vec!["total".to_owned()]);
            let mut out = Vec::new();
            table.write(all, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(200, false).len(), 203);
        assert_eq!(lines(50_000, true).len(), 50_003);
        let cut = lines(50_000, false);
        assert_eq!((cut.len(), &cut[20][..], &cut[23][..]), (24, "19", "total"));
        assert!(
            cut[21].starts_with("… and 49,980 more rows; --verbose"),
            "{}",
            cut[21]
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 999, 1000, 1234567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [
                number_of(0, "file"),
                number_of(1, "file"),
                number_of(2000, "file")
            ],
            ["0 files", "1 file", "2,000 files"]
        );
        assert_eq!(percent(1, 1_000_000), "0.01%");
        assert_eq!(percent(999_999, 1_000_000), "99.99%");
        assert_eq!(
            [percent(0, 9), percent(9, 9), percent(0, 0)],
            ["0.00%", "100.00%", "–"]
        );
        assert_eq!([shape(&[]), shape(&[7]), shape(&[2, 3])], ["scalar", "7", "2×3"]);
        assert_eq!([bytes(999), bytes(8_030_000_000)], ["999 B", "8.03 GB"]);
        assert_eq!([bar(0.0, 4), bar(0.5, 4), bar(1.0, 4)], ["····", "██··", "████"]);
        assert_eq!([bar(1e-9, 2), bar(0.3, 2)], ["▏·", "▋·"]);
    }
}
