//! Tables for people: columns as wide as their widest cell, up to a bound, three blanks between
//! them.

use unicode_width::UnicodeWidthStr;

use super::escape::escape;

const GAP: usize = 3;
/// No column is made wider than this for a cell: one kit with an absurd name must not push the
/// columns of all the others out of sight.
const WIDEST: usize = 72;

/// Rows under a header. Cells are escaped when they are added, so no cell can break the layout.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns a table that has only a header.
    pub(crate) fn new(header: &[&str]) -> Self {
        let mut table = Self { rows: Vec::new() };
        table.row(header);
        table
    }

    /// Adds a row; it may have fewer cells than the header, or more.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        let cells = cells.iter().map(|cell| escape(cell.as_ref()).into_owned());
        self.rows.push(cells.collect());
    }

    /// Returns how many columns of a terminal the widest line takes.
    pub(crate) fn width(&self) -> usize {
        let text = self.render();
        text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0)
    }

    /// Returns the lines of the table, each ended by a line feed, without blanks at the end.
    pub(crate) fn render(&self) -> String {
        let mut widths = Vec::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                if column == widths.len() {
                    widths.push(0);
                }
                let width = cell.width();
                if width <= WIDEST {
                    widths[column] = width.max(widths[column]);
                }
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                let blanks = width.saturating_sub(cell.width()) + GAP;
                line.extend(std::iter::repeat_n(' ', blanks));
            }
            text.push_str(line.trim_end_matches(' '));
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // hazard: 133, 134
    #[test]
    fn columns_line_up_for_wide_combining_and_hostile_characters() {
        let mut table = Table::new(&["NAME", "TAG", "SIZE"]);
        table.row(&["team/net", "1.0", "1.0 KiB"]);
        table.row(&["日本", "e\u{301}", "500 B"]);
        table.row(&["\x1b[2J", "", "0 B"]);
        table.row(&["short"]);
        assert_eq!(
            table.render(),
            "NAME       TAG   SIZE\n\
             team/net   1.0   1.0 KiB\n\
             日本       e\u{301}     500 B\n\
             \\x1b[2J          0 B\n\
             short\n"
        );
    }

    #[test]
    fn a_table_without_rows_or_columns_is_fine() {
        assert_eq!(Table::new(&["A", "B"]).render(), "A   B\n");
        assert_eq!(Table::new(&[]).render(), "\n");
    }

    // hazard: 134
    #[test]
    fn a_long_cell_is_neither_cut_nor_folded() {
        let long = "x".repeat(10_240);
        let mut table = Table::new(&["A"]);
        table.row(&[&long]);
        assert_eq!(table.render(), format!("A\n{long}\n"));
    }

    // hazard: 134
    #[test]
    fn a_cell_that_is_far_too_long_moves_only_its_own_row() {
        let long = "x".repeat(10_240);
        let mut table = Table::new(&["NAME", "TAG"]);
        table.row(&["net", "1.0"]);
        table.row(&[&long, "1.0"]);
        assert_eq!(
            table.render(),
            format!("NAME   TAG\nnet    1.0\n{long}   1.0\n")
        );
    }
}
