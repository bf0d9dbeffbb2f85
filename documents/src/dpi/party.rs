//! Who reports, and of whom.

use std::io::Write;

use jiff::civil::Date;

use crate::Error;
use crate::xml::Xml;

/// The longest text of the schema's `StringMin1Max200_Type`.
const LONGEST: usize = 200;

/// A tax number and the state that gave it, ISO 3166-1 alpha-2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tin {
    /// The number.
    pub number: String,
    /// Who gave it.
    pub issued_by: String,
}

/// An address in its parts, each up to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Street and number.
    pub street: Option<String>,
    /// Postal code.
    pub post_code: Option<String>,
    /// City.
    pub city: String,
}

/// The platform that reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Unique among all reports, begins with the transmitting country; up to 200 characters.
    pub reference: String,
    /// Where it is resident for tax.
    pub country: String,
    /// Its tax number.
    pub tin: Tin,
    /// Its VAT number.
    pub vat: Option<String>,
    /// Its legal name.
    pub name: String,
    /// Its trade name.
    pub platform: Option<String>,
    /// Its registered office.
    pub address: Address,
    /// Why it reports in this state; DAC7 asks for it, the OECD does not.
    pub nexus: Option<Nexus>,
}

/// What binds a platform to the state that it reports in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nexus {
    /// It is resident there for tax.
    Resident,
    /// It is resident nowhere, and incorporated there.
    Incorporated,
    /// It is resident nowhere, and managed from there.
    Managed,
    /// It is resident nowhere, and has a permanent establishment there.
    Established,
    /// None of these: it is registered there as a platform from outside the union.
    Registered,
}

impl Nexus {
    fn code(self) -> &'static str {
        match self {
            Self::Resident => "RPONEX1",
            Self::Incorporated => "RPONEX2",
            Self::Managed => "RPONEX3",
            Self::Established => "RPONEX4",
            Self::Registered => "RPONEX5",
        }
    }
}

/// The seller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A company.
    Entity {
        /// Where it is resident.
        country: String,
        /// Its tax number; none where its state gives none.
        tin: Option<Tin>,
        /// Its number in the register of businesses.
        registration: Option<String>,
        /// Its VAT number.
        vat: Option<String>,
        /// Its legal name.
        name: String,
        /// Its registered office.
        address: Address,
    },
    /// A person.
    Individual {
        /// Where the person is resident.
        country: String,
        /// The tax number; none where the state gives none.
        tin: Option<Tin>,
        /// The VAT number.
        vat: Option<String>,
        /// First name.
        first_name: String,
        /// Last name.
        last_name: String,
        /// The home.
        address: Address,
        /// Day and place of birth.
        birth: Birth,
    },
}

/// Day of birth; the place where there is no tax number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Birth {
    /// The day.
    pub date: Date,
    /// City, and country by ISO 3166-1 alpha-2.
    pub place: Option<(String, String)>,
}

impl Operator {
    pub(super) fn write<W: Write>(&self, xml: &mut Xml<W>) -> Result<(), Error> {
        write_country(xml, "dpi:ResCountryCode", &self.country)?;
        write_tin(xml, Some(&self.tin))?;
        write_some(xml, "dpi:VAT", self.vat.as_deref())?;
        xml.text("dpi:Name", &self.name, LONGEST)?;
        write_some(xml, "dpi:PlatformBusinessName", self.platform.as_deref())?;
        // Its address is that of its registered office.
        write_address(xml, "OECD304", &self.address)?;
        write_some(xml, "dpi:Nexus", self.nexus.map(Nexus::code))?;
        xml.plain("dpi:AssumedReporting", "false")
    }
}

impl Identity {
    pub(super) fn write<W: Write>(
        &self,
        xml: &mut Xml<W>,
        account: Option<&(String, Option<String>)>,
    ) -> Result<(), Error> {
        let (seller, id) = match self {
            Self::Entity { .. } => ("dpi:EntitySeller", "dpi:EntSellerID"),
            Self::Individual { .. } => ("dpi:IndividualSeller", "dpi:IndSellerID"),
        };
        xml.inside(seller, |xml| {
            xml.inside("dpi:Standard", |xml| {
                xml.inside(id, |xml| self.write_id(xml))?;
                account.map_or(Ok(()), |(number, holder)| write_account(xml, number, holder.as_deref()))
            })
        })
    }

    fn write_id<W: Write>(&self, xml: &mut Xml<W>) -> Result<(), Error> {
        match self {
            Self::Entity { country, tin, registration, vat, name, address } => {
                write_country(xml, "dpi:ResCountryCode", country)?;
                write_tin(xml, tin.as_ref())?;
                if let Some(number) = registration {
                    let attributes = [("issuedBy", country.as_str()), ("INType", "BRN")];
                    xml.text_with("dpi:IN", &attributes, number, LONGEST)?;
                }
                write_some(xml, "dpi:VAT", vat.as_deref())?;
                xml.text("dpi:Name", name, LONGEST)?;
                write_address(xml, "OECD303", address)
            }
            Self::Individual { country, tin, vat, first_name, last_name, address, birth } => {
                if tin.is_none() && birth.place.is_none() {
                    return Err(Error::field(xml.row, "BirthPlace", "is needed of a person without a tax number"));
                }
                write_country(xml, "dpi:ResCountryCode", country)?;
                write_tin(xml, tin.as_ref())?;
                write_some(xml, "dpi:VAT", vat.as_deref())?;
                xml.inside("dpi:Name", |xml| {
                    xml.text("dpi:FirstName", first_name, LONGEST)?;
                    xml.text("dpi:LastName", last_name, LONGEST)
                })?;
                write_address(xml, "OECD302", address)?;
                xml.inside("dpi:BirthInfo", |xml| write_birth(xml, birth))
            }
        }
    }
}

/// A state: two capital letters. Which of them exist the authority checks.
pub(super) fn write_country<W: Write>(xml: &mut Xml<W>, name: &'static str, code: &str) -> Result<(), Error> {
    check_country(xml.row, name, code)?;
    xml.plain(name, code)
}

fn check_country(row: u64, name: &'static str, code: &str) -> Result<(), Error> {
    if code.len() != 2 || !code.chars().all(|letter| letter.is_ascii_uppercase()) {
        return Err(Error::field(row, name, format!("{code:?} is not a country of ISO 3166-1 alpha-2")));
    }
    Ok(())
}

fn write_some<W: Write>(xml: &mut Xml<W>, name: &'static str, text: Option<&str>) -> Result<(), Error> {
    text.map_or(Ok(()), |text| xml.text(name, text, LONGEST))
}

fn write_tin<W: Write>(xml: &mut Xml<W>, tin: Option<&Tin>) -> Result<(), Error> {
    match tin {
        Some(tin) => {
            check_country(xml.row, "dpi:TIN", &tin.issued_by)?;
            xml.text_with("dpi:TIN", &[("issuedBy", &tin.issued_by)], &tin.number, LONGEST)
        }
        None => xml.text_with("dpi:TIN", &[("unknown", "true")], "NOTIN", LONGEST),
    }
}

fn write_address<W: Write>(xml: &mut Xml<W>, kind: &str, address: &Address) -> Result<(), Error> {
    xml.open("dpi:Address", &[("legalAddressType", kind)])?;
    write_country(xml, "dpi:CountryCode", &address.country)?;
    xml.inside("dpi:AddressFix", |xml| {
        write_some(xml, "dpi:Street", address.street.as_deref())?;
        write_some(xml, "dpi:PostCode", address.post_code.as_deref())?;
        xml.text("dpi:City", &address.city, LONGEST)
    })?;
    xml.close("dpi:Address")
}

fn write_birth<W: Write>(xml: &mut Xml<W>, birth: &Birth) -> Result<(), Error> {
    xml.plain("dpi:BirthDate", &birth.date.to_string())?;
    let Some((city, country)) = &birth.place else { return Ok(()) };
    xml.inside("dpi:BirthPlace", |xml| {
        xml.text("dpi:City", city, LONGEST)?;
        xml.inside("dpi:CountryInfo", |xml| write_country(xml, "dpi:CountryCode", country))
    })
}

fn write_account<W: Write>(xml: &mut Xml<W>, number: &str, holder: Option<&str>) -> Result<(), Error> {
    xml.inside("dpi:FinancialIdentifier", |xml| {
        xml.text("dpi:Identifier", number, LONGEST)?;
        write_some(xml, "dpi:AccountHolderName", holder)
    })
}
