"""Checks our webhook signatures against other libraries, in both directions and with forgeries.

    check.py EXAMPLE NODE_FOLDER [--cases 1000] [--seed N]

EXAMPLE is the built `signatures` example of partita-webhooks, NODE_FOLDER has peer.js and its modules. For each library:
what we sign it accepts, what it signs we accept, and of what was tampered with both accept nothing.
"""

import argparse
import base64
import datetime
import json
import random
import subprocess
import time

import standardwebhooks
import stripe
import svix.webhooks

STANDARD = {"standardwebhooks": standardwebhooks.Webhook, "svix": svix.webhooks.Webhook}


def lines_through(command, requests):
    """What a program answers to requests, a JSON object a line."""
    text = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run(command, input=text, capture_output=True, check=False, text=True, encoding="utf-8")
    if done.returncode != 0:
        raise SystemExit(f"{command} failed: {done.stderr}")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests), f"{command} gave {len(answers)} answers to {len(requests)} requests"
    return answers


def random_text(dice):
    """Text of every plane of Unicode; characters that JSON must escape among them."""
    planes = [(0x20, 0x7E), (0x0, 0x1F), (0xA0, 0x2FF), (0x4E00, 0x9FFF), (0x1F300, 0x1F6FF)]
    return "".join(chr(dice.randint(*dice.choice(planes))) for _ in range(dice.randint(0, 40)))


def random_body(dice):
    """An object, spelled in one of several ways: what is signed are its bytes, not what it means."""
    value = {random_text(dice): dice.choice([random_text(dice), dice.randint(-(2**53), 2**53), None, [1.5], {}])
             for _ in range(dice.randint(0, 6))}
    separators = dice.choice([(",", ":"), (", ", ": "), (" ,\n", " :\t")])
    return json.dumps(value, ensure_ascii=dice.random() < 0.5, separators=separators)


def cases_of(dice, count, key):
    now = int(time.time())
    return [{"key": key(dice), "id": f"evn_{dice.randrange(36**20):x}", "timestamp": now - dice.randint(-200, 200),
             "body": random_body(dice)} for _ in range(count)]


def tampered(dice, case, signature, separator):
    """The same message with one thing changed; the signature's text before `separator` stays."""
    case, kind = dict(case), dice.choice(["body", "signature", "key", "timestamp"])
    if kind == "body":
        case["body"] += " "
    elif kind == "timestamp":
        case["timestamp"] += 1
    elif kind == "key":
        case["key"] = "whsec_" + base64.b64encode(dice.randbytes(32)).decode()
    else:
        head, tail = signature.rsplit(separator, 1)
        at = dice.randrange(len(tail) - 4)
        signature = head + separator + tail[:at] + ("A" if tail[at] not in "Aa" else "7") + tail[at + 1:]
    return case, signature


def accepts(check):
    try:
        check()
        return True
    except Exception:
        return False


def ours_verify(scheme, case, signature):
    return {"do": "verify", "scheme": scheme, **case, "timestamp": str(case["timestamp"]), "signature": signature,
            "now": int(time.time())}


def report(name, counts):
    print(f"{name:24} " + ", ".join(f"{what}: {count}" for what, count in counts.items()))


def all_of(name, what, answers, expected):
    wrong = [at for at, answer in enumerate(answers) if answer != expected]
    if wrong:
        raise SystemExit(f"{name}: {what}: {len(wrong)} of {len(answers)} wrong, first case {wrong[0]}")
    return len(answers)


def agree(name, dice, ours, cases, scheme, separator, their_sign, their_verify):
    """Both directions, and forgeries of both."""
    we_signed = [answer["signature"] for answer in ours([{"do": "sign", "scheme": scheme, **case} for case in cases])]
    they_signed = their_sign(cases)
    counts = {"ours accepted": all_of(name, "ours", their_verify(list(zip(cases, we_signed))), True)}
    accepted = ours([ours_verify(scheme, case, signature) for case, signature in zip(cases, they_signed)])
    counts["theirs accepted"] = all_of(name, "theirs", [answer["accepted"] for answer in accepted], True)
    forged = [tampered(dice, case, signature, separator) for case, signature in zip(cases, we_signed)]
    all_of(name, "forgeries, by them", their_verify(forged), False)
    accepted = ours([ours_verify(scheme, case, signature) for case, signature in forged])
    counts["forgeries refused"] = all_of(name, "forgeries, by us", [answer["accepted"] for answer in accepted], False)
    report(name, counts)


def standard_library(name, dice, ours, count):
    def key(dice):
        return "whsec_" + base64.b64encode(dice.randbytes(dice.randint(24, 64))).decode()

    def their_sign(cases):
        return [STANDARD[name](case["key"]).sign(
            case["id"], datetime.datetime.fromtimestamp(case["timestamp"], datetime.timezone.utc), case["body"])
            for case in cases]

    def their_verify(signed):
        return [accepts(lambda: STANDARD[name](case["key"]).verify(case["body"].encode(), {
            "webhook-id": case["id"], "webhook-timestamp": str(case["timestamp"]), "webhook-signature": signature}))
            for case, signature in signed]

    agree(name, dice, ours, cases_of(dice, count, key), "standard", ",", their_sign, their_verify)


def stripe_key(dice):
    return "whsec_" + base64.b64encode(dice.randbytes(24)).decode()


def stripe_cases(dice, count):
    # Tampering with the time is tampering with the header there.
    return [{name: value for name, value in case.items() if name != "id"} for case in cases_of(dice, count, stripe_key)]


def stripe_python(dice, ours, count):
    signature_of = stripe.WebhookSignature

    def their_sign(cases):
        compute = signature_of._compute_signature
        return [f"t={case['timestamp']},v1=" + compute(f"{case['timestamp']}.{case['body']}", case["key"]) for case in cases]

    def their_verify(signed):
        return [accepts(lambda: signature_of.verify_header(case["body"], moved(case, signature), case["key"], 300))
                for case, signature in signed]

    agree("stripe (PyPI)", dice, stripe_ours(ours), stripe_cases(dice, count), "stripe", "v1=", their_sign, their_verify)


def moved(case, signature):
    """The header with the case's own time, which tampering may have moved."""
    return f"t={case['timestamp']}," + signature.split(",", 1)[1]


def stripe_ours(ours):
    def ask(requests):
        return ours([dict(request, signature=moved(request, request["signature"])) if request["do"] == "verify" else request
                     for request in requests])
    return ask


def stripe_node(dice, ours, node, count):
    def their_sign(cases):
        return [answer["signature"] for answer in node([{"do": "stripe_sign", **case} for case in cases])]

    def their_verify(signed):
        requests = [{"do": "stripe_verify", **case, "signature": moved(case, signature)} for case, signature in signed]
        return [answer["accepted"] for answer in node(requests)]

    agree("stripe (npm)", dice, stripe_ours(ours), stripe_cases(dice, count), "stripe", "v1=", their_sign, their_verify)


def ed25519_node(dice, ours, node, count):
    """Node's own Ed25519, with the scheme's framing; keys of others are public ones where we verify."""
    cases = cases_of(dice, count, lambda dice: "whsk_" + base64.b64encode(dice.randbytes(32)).decode())
    public = [answer["key"] for answer in ours([{"do": "public", "key": case["key"]} for case in cases])]
    we_signed = [answer["signature"] for answer in ours([{"do": "sign", "scheme": "standard", **case} for case in cases])]
    they_signed = [answer["signature"] for answer in node([{"do": "ed25519_sign", **case} for case in cases])]
    assert we_signed == they_signed, "Ed25519 is deterministic"
    checked = [dict(case, key=key) for case, key in zip(cases, public)]

    def by_them(signed):
        return [answer["accepted"] for answer in node([{"do": "ed25519_verify", **c, "signature": s} for c, s in signed])]

    def by_us(signed):
        return [answer["accepted"] for answer in ours([ours_verify("standard", c, s) for c, s in signed])]

    signed = list(zip(checked, we_signed))
    forged = [(dict(case, body=case["body"] + " "), signature) for case, signature in signed]
    report("Ed25519 (Node)", {
        "ours accepted": all_of("Ed25519", "ours", by_them(signed), True),
        "theirs accepted": all_of("Ed25519", "theirs", by_us(list(zip(checked, they_signed))), True),
        "forgeries refused": all_of("Ed25519", "forgeries", by_them(forged) + by_us(forged), False) // 2,
    })


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("example")
    parser.add_argument("node_folder")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    args = parser.parse_args()
    print(f"seed {args.seed}, {args.cases} cases for each library and direction")
    dice = random.Random(args.seed)

    def ours(requests):
        return lines_through([args.example], requests)

    def node(requests):
        return lines_through(["node", f"{args.node_folder}/peer.js"], requests)

    for name in STANDARD:
        standard_library(name, dice, ours, args.cases)
    stripe_python(dice, ours, args.cases)
    stripe_node(dice, ours, node, args.cases)
    ed25519_node(dice, ours, node, args.cases)


main()
