//! JSON: `{"columns": [..], "rows": [{..}, ..], "control_totals": {..}}`, a row a line. Money is as in the interface: integer
//! minor units and the currency.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::SerializeMap;

use super::{Cell, Column, Sheet, TableWriter};
use crate::{ControlTotals, Error};

/// Writes JSON.
pub struct Json<W: Write> {
    sheet: Sheet,
    out: W,
}

impl<W: Write> Json<W> {
    /// Writes what stands before the rows.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn try_new(mut out: W, columns: &[Column]) -> Result<Self, Error> {
        let names: Vec<_> = columns.iter().map(|column| column.name).collect();
        out.write_all(b"{\"columns\":")?;
        write_json(&mut out, &names)?;
        out.write_all(b",\n\"rows\":[")?;
        Ok(Self { sheet: Sheet::new(columns), out })
    }
}

impl<W: Write> TableWriter for Json<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), Error> {
        let row = self.sheet.take(cells)?;
        self.out.write_all(if row == 1 { b"\n" } else { b",\n" })?;
        write_json(&mut self.out, &Row { columns: &self.sheet.columns, cells })
    }

    fn finish(mut self: Box<Self>) -> Result<ControlTotals, Error> {
        let totals = self.sheet.adder.totals();
        self.out.write_all(b"\n],\n\"control_totals\":")?;
        write_json(&mut self.out, &totals)?;
        self.out.write_all(b"}\n")?;
        self.out.flush()?;
        Ok(totals)
    }
}

fn write_json(out: &mut impl Write, value: &impl Serialize) -> Result<(), Error> {
    Ok(serde_json::to_writer(out, value).map_err(io::Error::from)?)
}

struct Row<'a> {
    columns: &'a [Column],
    cells: &'a [Cell<'a>],
}

impl Serialize for Row<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.cells.len()))?;
        for (column, cell) in self.columns.iter().zip(self.cells) {
            match cell {
                Cell::Empty => map.serialize_entry(column.name, &())?,
                Cell::Text(text) => map.serialize_entry(column.name, text)?,
                Cell::Amount(money) => map.serialize_entry(column.name, money)?,
                Cell::Integer(number) => map.serialize_entry(column.name, number)?,
                Cell::Date(date) => map.serialize_entry(column.name, date)?,
                Cell::Time(time) => map.serialize_entry(column.name, time)?,
            }
        }
        map.end()
    }
}
