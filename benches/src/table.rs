//! Tables on the terminal, in Markdown, ready to paste.

use std::fmt::Write;

use comfy_table::{CellAlignment, presets::ASCII_MARKDOWN};

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    title: String,
    table: comfy_table::Table,
}

impl Table {
    /// Starts a table. The first column holds names, the others hold figures.
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(ASCII_MARKDOWN)
            .set_header(columns.to_vec());
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let title = title.into();
        Self { title, table }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.table.add_row(cells);
    }

    /// Prints the table under its title.
    pub fn print(&self) {
        println!("\n{}\n\n{}\n", self.title, self.table);
    }
}

/// Nanoseconds, to about three digits.
pub fn nanos(nanos: f64) -> String {
    if nanos < 10.0 {
        format!("{nanos:.1}")
    } else {
        format!("{nanos:.0}")
    }
}

/// A ratio: below one, hydracache takes less.
pub fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}

/// A number with thousands separators: 5,000,000.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{digit}");
    }
    text
}
