//! What a platform reports of its sellers once a year: the OECD's DPI XML schema, version 1.0 of its namespaces, as the European
//! Union takes it for DAC7 (Directive 2021/514).
//!
//! Amounts are in whole units; each seller's consideration, activities, fees and taxes stand by quarter. Some states have a
//! format of their own (France) or an envelope around this one (Germany): those are not written here.

mod party;

use std::io::Write;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use partita_provider::Money;

pub use party::{Address, Birth, Identity, Nexus, Operator, Tin};

use crate::amount::whole_units;
use crate::totals::Adder;
use crate::xml::Xml;
use crate::{ControlTotals, Error};

const NAMESPACES: [(&str, &str); 3] =
    [("xmlns:dpi", "urn:oecd:ties:dpi:v1"), ("xmlns:stf", "urn:oecd:ties:dpistf:v1"), ("version", "1.0")];

/// What kind of report it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// New information for the authority.
    New,
    /// New information, to try the authority's reception.
    Test,
}

impl Purpose {
    fn code(self) -> &'static str {
        match self {
            Self::New => "OECD1",
            Self::Test => "OECD11",
        }
    }
}

/// What the message says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Test or not.
    pub purpose: Purpose,
    /// The state it is sent in, ISO 3166-1 alpha-2.
    pub transmitting_country: String,
    /// The state it is for, ISO 3166-1 alpha-2.
    pub receiving_country: String,
    /// Unique among all messages: begins with the transmitting country, the year, the receiving country; up to 170.
    pub reference: String,
    /// The year that is reported.
    pub year: i16,
    /// The time in the header, written in the time of Central Europe as the schema has it: give the position's, not the clock's.
    pub made_at: Timestamp,
    /// Who reports.
    pub operator: Operator,
}

/// One seller's year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seller {
    /// Unique among all reports, begins with the transmitting country; up to 200 characters.
    pub reference: String,
    /// Who it is.
    pub identity: Identity,
    /// IBAN or another number of the account that it is paid to, and its holder where that is another.
    pub account: Option<(String, Option<String>)>,
    /// What it does.
    pub activity: Activity,
    /// January to March, and so on.
    pub quarters: [Quarter; 4],
}

/// What a seller does. Rent of immovable property is reported by listing, and not written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Work of a person.
    PersonalServices,
    /// Sale of goods.
    SaleOfGoods,
    /// Rent of means of transport.
    TransportationRental,
}

impl Activity {
    fn element(self) -> &'static str {
        match self {
            Self::PersonalServices => "dpi:PersonalServices",
            Self::SaleOfGoods => "dpi:SaleOfGoods",
            Self::TransportationRental => "dpi:TransportationRental",
        }
    }
}

/// Three months of a seller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarter {
    /// What was paid or credited to the seller, less fees and taxes withheld.
    pub consideration: Money,
    /// For how many activities.
    pub activities: u32,
    /// Fees that the platform kept.
    pub fees: Money,
    /// Taxes that the platform kept.
    pub taxes: Money,
}

/// Writes a message.
pub struct Dpi<W: Write> {
    xml: Xml<W>,
    message: Message,
    adder: Adder,
}

impl<W: Write> Dpi<W> {
    /// Writes what stands before the sellers.
    ///
    /// # Errors
    /// [`Error::Field`] and [`Error::Character`] with row 0, [`Error::Io`].
    pub fn try_new(out: W, message: Message) -> Result<Self, Error> {
        let (transmitting, receiving) = (&message.transmitting_country, &message.receiving_country);
        let begins = format!("{transmitting}{}{receiving}", message.year);
        if !message.reference.starts_with(&begins) {
            return Err(Error::field(0, "MessageRefId", format!("does not begin with {begins}")));
        }
        let period = Date::new(message.year, 12, 31);
        let period = period.map_err(|error| Error::field(0, "ReportingPeriod", error.to_string()))?;
        let mut xml = Xml::start(out)?;
        xml.open("dpi:DPI_OECD", &NAMESPACES)?;
        xml.inside("dpi:MessageSpec", |xml| {
            party::write_country(xml, "dpi:TransmittingCountry", transmitting)?;
            party::write_country(xml, "dpi:ReceivingCountry", receiving)?;
            xml.plain("dpi:MessageType", "DPI")?;
            xml.text("dpi:MessageRefId", &message.reference, 170)?;
            xml.plain("dpi:MessageTypeIndic", "DPI401")?;
            xml.plain("dpi:ReportingPeriod", &period.to_string())?;
            xml.plain("dpi:Timestamp", &central_european(message.made_at)?)
        })?;
        xml.open("dpi:DPIBody", &[])?;
        xml.inside("dpi:PlatformOperator", |xml| {
            message.operator.write(xml)?;
            write_doc_spec(xml, message.purpose, &message.operator.reference)
        })?;
        Ok(Self { xml, message, adder: Adder::default() })
    }

    /// Writes one seller.
    ///
    /// # Errors
    /// [`Error::Field`], [`Error::Character`], [`Error::Currency`], [`Error::Overflow`], [`Error::Io`].
    pub fn seller(&mut self, seller: &Seller) -> Result<(), Error> {
        let row = self.adder.next_row();
        self.xml.row = row;
        let currency = seller.quarters[0].consideration.currency;
        for quarter in &seller.quarters {
            for (order, (field, money)) in named(quarter).into_iter().enumerate() {
                if money.currency != currency {
                    return Err(Error::Currency { row, field, expected: currency, found: money.currency });
                }
                self.adder.add(order, field, in_whole_units(money, row, field)?)?;
            }
        }
        let purpose = self.message.purpose;
        self.xml.inside("dpi:ReportableSeller", |xml| {
            xml.inside("dpi:Identity", |xml| seller.identity.write(xml, seller.account.as_ref()))?;
            xml.inside("dpi:RelevantActivities", |xml| {
                xml.inside(seller.activity.element(), |xml| write_quarters(xml, &seller.quarters))
            })?;
            write_doc_spec(xml, purpose, &seller.reference)
        })
    }

    /// Ends the file: consideration, fees and taxes of all sellers as written, in whole units.
    ///
    /// # Errors
    /// [`Error::Field`] if there was no seller, [`Error::Io`].
    pub fn finish(mut self) -> Result<ControlTotals, Error> {
        let totals = self.adder.totals();
        if totals.rows == 0 {
            return Err(Error::field(
                0,
                "ReportableSeller",
                "there is none: a message of new information has one at least",
            ));
        }
        for name in ["dpi:DPIBody", "dpi:DPI_OECD"] {
            self.xml.close(name)?;
        }
        self.xml.finish()?;
        Ok(totals)
    }
}

fn named(quarter: &Quarter) -> [(&'static str, Money); 3] {
    [("Consideration", quarter.consideration), ("Fees", quarter.fees), ("Taxes", quarter.taxes)]
}

/// What is written of an amount, as money again: 1,250.50 is 1,251.00.
fn in_whole_units(money: Money, row: u64, field: &'static str) -> Result<Money, Error> {
    let unit = 10_i64.pow(money.currency.exponent());
    let minor = whole_units(money).checked_mul(unit).ok_or(Error::Overflow { row, field })?;
    Ok(Money::new(minor, money.currency))
}

fn write_amounts<W: Write>(xml: &mut Xml<W>, names: [&'static str; 4], amounts: [Money; 4]) -> Result<(), Error> {
    for (name, money) in names.into_iter().zip(amounts) {
        xml.text_with(name, &[("currCode", money.currency.code())], &whole_units(money).to_string(), usize::MAX)?;
    }
    Ok(())
}

fn write_quarters<W: Write>(xml: &mut Xml<W>, quarters: &[Quarter; 4]) -> Result<(), Error> {
    let considerations = ["dpi:ConsQ1", "dpi:ConsQ2", "dpi:ConsQ3", "dpi:ConsQ4"];
    let numbers = ["dpi:NumbQ1", "dpi:NumbQ2", "dpi:NumbQ3", "dpi:NumbQ4"];
    let fees = ["dpi:FeesQ1", "dpi:FeesQ2", "dpi:FeesQ3", "dpi:FeesQ4"];
    let taxes = ["dpi:TaxQ1", "dpi:TaxQ2", "dpi:TaxQ3", "dpi:TaxQ4"];
    xml.inside("dpi:Consideration", |xml| {
        write_amounts(xml, considerations, quarters.map(|quarter| quarter.consideration))
    })?;
    xml.inside("dpi:NumberOfActivities", |xml| {
        for (name, quarter) in numbers.into_iter().zip(quarters) {
            xml.plain(name, &quarter.activities.to_string())?;
        }
        Ok(())
    })?;
    xml.inside("dpi:Fees", |xml| write_amounts(xml, fees, quarters.map(|quarter| quarter.fees)))?;
    xml.inside("dpi:Taxes", |xml| write_amounts(xml, taxes, quarters.map(|quarter| quarter.taxes)))
}

fn write_doc_spec<W: Write>(xml: &mut Xml<W>, purpose: Purpose, reference: &str) -> Result<(), Error> {
    xml.inside("dpi:DocSpec", |xml| {
        xml.plain("stf:DocTypeIndic", purpose.code())?;
        xml.text("stf:DocRefId", reference, 200)
    })
}

/// The schema's timestamps have no zone: they are in the time of Central Europe.
fn central_european(time: Timestamp) -> Result<String, Error> {
    let zone = TimeZone::get("Europe/Brussels").map_err(|error| Error::field(0, "Timestamp", error.to_string()))?;
    Ok(time.to_zoned(zone).datetime().strftime("%Y-%m-%dT%H:%M:%S").to_string())
}

#[cfg(test)]
mod tests;
