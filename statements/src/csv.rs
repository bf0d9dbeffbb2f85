//! CSV by a mapping of columns.

use std::collections::BTreeMap;
use std::io::Read;

use partita_provider::Currency;

use crate::accounts::Accounts;
use crate::amount::{Marks, currency, date, signed, unsigned};
use crate::error::{Reason, Refusal};
use crate::mapping::{Amounts, Given, Mapping, Order};
use crate::output::{Draft, Output};
use crate::rows::{Header, Row, next_row};
use crate::statement::{Balance, Detail, filled};
use crate::text::Text;

/// Reads rows to the end of the file: a statement for each account and currency.
pub(crate) fn read<R: Read>(mut text: Text<R>, mapping: &Mapping, output: &mut Output<'_>) -> Result<Text<R>, Refusal> {
    mapping.check().map_err(|reason| reason.at(1))?;
    for _ in 0..mapping.skip_lines {
        text.read_line()?;
    }
    let limit = output.limits().piece;
    let header = next_row(&mut text, mapping.delimiter, limit)?;
    let header = header.ok_or_else(|| Reason::Truncated("the header").at(text.line()))?;
    let columns = Columns::try_new(&header.fields, mapping).map_err(|reason| reason.at(header.line))?;
    let (mut accounts, mut running) = (Accounts::new(), BTreeMap::new());
    while let Some(row) = next_row(&mut text, mapping.delimiter, limit)? {
        columns.header.fits(&row)?;
        take(&row, &columns, mapping, &mut accounts, &mut running, output)?;
    }
    if accounts.is_empty() {
        return Err(Reason::Missing("a row below the header".to_owned()).at(text.line()));
    }
    accounts.close(output, text.line())?;
    Ok(text)
}

type Key = (String, Currency);

/// The mapping's columns by their place.
struct Columns {
    header: Header,
    account: Option<usize>,
    currency: Option<usize>,
    /// The amount, or the credits.
    amount: usize,
    /// The side, or the debits.
    other: Option<usize>,
    booked_on: usize,
    value_on: Option<usize>,
    balance: Option<usize>,
    bank_reference: Option<usize>,
    end_to_end_id: Option<usize>,
    counterparty: Option<usize>,
    counterparty_account: Option<usize>,
    remittance: Vec<usize>,
}

impl Columns {
    fn try_new(names: &[String], mapping: &Mapping) -> Result<Self, Reason> {
        let header = Header::try_new(names)?;
        let given = |given: &Given| match given {
            Given::Fixed(_) => Ok(None),
            Given::Column(name) => header.column(name).map(Some),
        };
        let optional = |name: &Option<String>| name.as_deref().map(|name| header.column(name)).transpose();
        let (amount, other) = match &mapping.amount {
            Amounts::Signed { column } => (column, None),
            Amounts::Sided { column, side, .. } => (column, Some(side)),
            Amounts::Split { credit, debit } => (credit, Some(debit)),
        };
        Ok(Self {
            account: given(&mapping.account)?,
            currency: given(&mapping.currency)?,
            amount: header.column(amount)?,
            other: other.map(|name| header.column(name)).transpose()?,
            booked_on: header.column(&mapping.booked_on)?,
            value_on: optional(&mapping.value_on)?,
            balance: optional(&mapping.balance)?,
            bank_reference: optional(&mapping.bank_reference)?,
            end_to_end_id: optional(&mapping.end_to_end_id)?,
            counterparty: optional(&mapping.counterparty)?,
            counterparty_account: optional(&mapping.counterparty_account)?,
            remittance: mapping.remittance.iter().map(|name| header.column(name)).collect::<Result<_, _>>()?,
            header,
        })
    }
}

fn take(
    row: &Row,
    columns: &Columns,
    mapping: &Mapping,
    accounts: &mut Accounts<Key>,
    running: &mut BTreeMap<Key, i64>,
    output: &mut Output<'_>,
) -> Result<(), Refusal> {
    let at = |reason: Reason| reason.at(row.line);
    let account = either(&mapping.account, columns.account, row, "the account").map_err(at)?;
    let code = either(&mapping.currency, columns.currency, row, "the currency").map_err(at)?;
    let currency = currency(code).map_err(at)?;
    let draft = draft(row, columns, mapping, currency).map_err(at)?;
    let key = (account.to_owned(), currency);
    let statement = accounts.get(key.clone(), account, currency, output, row.line).map_err(at)?;
    if let Some(column) = columns.balance {
        let balance = signed(row.field(column), marks(mapping), currency).map_err(at)?;
        let before = balance.checked_sub(draft.amount).ok_or_else(|| at(Reason::Overflow))?;
        // Of two rows the older one's balance after is the younger one's balance before.
        let (joins, next) = match mapping.order {
            Order::OldestFirst => (before, balance),
            Order::NewestFirst => (balance, before),
        };
        if let Some(expected) = running.insert(key, next).filter(|expected| *expected != joins) {
            return Err(at(Reason::Total { what: "the balance", computed: expected, stated: joins }));
        }
        let known = |amount, date| Some(Balance { amount, date, intermediate: false });
        match mapping.order {
            Order::OldestFirst => {
                statement.opening = statement.opening.or(known(before, None));
                statement.closing = known(balance, Some(draft.booked_on));
            }
            Order::NewestFirst => {
                statement.closing = statement.closing.or(known(balance, Some(draft.booked_on)));
                statement.opening = known(before, None);
            }
        }
    }
    output.entry(statement, draft)
}

fn draft(row: &Row, columns: &Columns, mapping: &Mapping, currency: Currency) -> Result<Draft, Reason> {
    let text = |column: Option<usize>| column.and_then(|column| filled(row.field(column)));
    let day = |column: usize| date(row.field(column), &mapping.date_format);
    let amount = amount(row, columns, mapping, currency)?;
    let remittance: Vec<&str> =
        columns.remittance.iter().map(|column| row.field(*column)).filter(|text| !text.is_empty()).collect();
    Ok(Draft {
        line: row.line,
        amount,
        fee: 0,
        reversal: false,
        booked_on: day(columns.booked_on)?,
        value_on: columns.value_on.filter(|column| !row.field(*column).is_empty()).map(day).transpose()?,
        bank_reference: text(columns.bank_reference),
        code: None,
        info: None,
        details: vec![Detail {
            amount: Some(amount),
            end_to_end_id: text(columns.end_to_end_id),
            counterparty: text(columns.counterparty),
            counterparty_account: text(columns.counterparty_account),
            remittance: filled(&remittance.join(" ")),
            ..Detail::default()
        }],
    })
}

fn amount(row: &Row, columns: &Columns, mapping: &Mapping, currency: Currency) -> Result<i64, Reason> {
    let marks = marks(mapping);
    let (first, second) = (row.field(columns.amount), columns.other.map_or("", |column| row.field(column)));
    match &mapping.amount {
        Amounts::Signed { .. } => signed(first, marks, currency),
        Amounts::Sided { credit, debit, .. } => {
            let amount = unsigned(first, marks, currency)?;
            match second {
                side if side == credit => Ok(amount),
                side if side == debit => Ok(-amount),
                side => Err(Reason::unreadable("one of the words for credit and debit", side)),
            }
        }
        Amounts::Split { .. } => match (first, second) {
            ("", "") => Err(Reason::Missing("an amount in one of the two columns".to_owned())),
            (credit, "") => unsigned(credit, marks, currency),
            // Banks write some debits with a minus, though the column says it already.
            ("", debit) => unsigned(debit.trim_start_matches('-'), marks, currency).map(|amount| -amount),
            _ => Err(Reason::Repeated("the amount")),
        },
    }
}

fn marks(mapping: &Mapping) -> Marks {
    Marks { decimal: mapping.decimal_mark, thousands: mapping.thousands_mark }
}

fn either<'a>(given: &'a Given, column: Option<usize>, row: &'a Row, what: &str) -> Result<&'a str, Reason> {
    let text = match (given, column) {
        (Given::Fixed(text), _) => text.as_str(),
        (Given::Column(_), Some(column)) => row.field(column),
        (Given::Column(_), None) => "",
    };
    if text.is_empty() { Err(Reason::Missing(what.to_owned())) } else { Ok(text) }
}
