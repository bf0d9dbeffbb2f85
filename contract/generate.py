#!/usr/bin/env python3
"""Writes contract/stripe.json: what Stripe takes in each request that the adapter can make.

The source is Stripe's official Python SDK, which is generated from Stripe's OpenAPI description. The SDK's typed
parameters become JSON schemas (names, types and enumerations only, no prose), and a recording HTTP client tells the
method and the path that the SDK itself uses. `cargo test` checks every request of the adapter against the committed
file and needs neither Python nor a network; this script is run again when the API version is raised, and by CI, which
compares:

    python3 -m venv /tmp/contract && /tmp/contract/bin/pip install -r contract/requirements.txt
    /tmp/contract/bin/python contract/generate.py            # writes contract/stripe.json
    /tmp/contract/bin/python contract/generate.py --check    # exit code 1 if the committed file differs

The output depends on the versions in requirements.txt only.
"""

import argparse
import importlib
import json
import pathlib
import re
import sys
from collections.abc import Mapping
from typing import Dict, TypeVar

import pydantic
import stripe
import stripe._stripe_object
from pydantic.json_schema import GenerateJsonSchema

T = TypeVar("T")
# The SDK types a free-form map by a class that is no type to pydantic. It must be replaced before stripe.params,
# whose modules import it by name, is loaded.
stripe._stripe_object.UntypedStripeObject = Dict[str, T]

from stripe._request_options import RequestOptions  # noqa: E402
from stripe._stripe_context import StripeContext  # noqa: E402

TARGET = pathlib.Path(__file__).with_name("stripe.json")
API_VERSION = "2026-09-30.endive"

# The SDK's call, its parameter type, and the ids that stand in the path. The order here is the order in the file.
REQUESTS = [
    ("accounts.create", "AccountCreateParams", []),
    ("account_links.create", "AccountLinkCreateParams", []),
    ("payment_intents.create", "PaymentIntentCreateParams", []),
    ("payment_intents.cancel", "PaymentIntentCancelParams", ["id"]),
    ("payment_intents.capture", "PaymentIntentCaptureParams", ["id"]),
    ("transfers.create", "TransferCreateParams", []),
    ("transfers.reversals.create", "TransferReversalCreateParams", ["id"]),
    ("refunds.create", "RefundCreateParams", []),
    ("topups.create", "TopupCreateParams", []),
    ("accounts.update", "AccountUpdateParams", ["id"]),
    ("payouts.create", "PayoutCreateParams", []),
    ("disputes.update", "DisputeUpdateParams", ["id"]),
    ("disputes.close", "DisputeCloseParams", ["id"]),
    ("customers.create", "CustomerCreateParams", []),
    ("setup_intents.create", "SetupIntentCreateParams", []),
    ("payment_methods.detach", "PaymentMethodDetachParams", ["id"]),
    ("accounts.list", "AccountListParams", []),
    ("accounts.retrieve", "AccountRetrieveParams", ["id"]),
    ("balance.retrieve", "BalanceRetrieveParams", []),
    ("balance_transactions.list", "BalanceTransactionListParams", []),
    ("balance_transactions.retrieve", "BalanceTransactionRetrieveParams", ["id"]),
    ("application_fees.retrieve", "ApplicationFeeRetrieveParams", ["id"]),
    ("charges.retrieve", "ChargeRetrieveParams", ["id"]),
    ("customers.list", "CustomerListParams", []),
    ("customers.retrieve", "CustomerRetrieveParams", ["id"]),
    ("disputes.retrieve", "DisputeRetrieveParams", ["id"]),
    ("events.list", "EventListParams", []),
    ("payment_intents.list", "PaymentIntentListParams", []),
    ("payment_intents.search", "PaymentIntentSearchParams", []),
    ("payment_intents.retrieve", "PaymentIntentRetrieveParams", ["id"]),
    ("payment_methods.retrieve", "PaymentMethodRetrieveParams", ["id"]),
    ("payouts.list", "PayoutListParams", []),
    ("payouts.retrieve", "PayoutRetrieveParams", ["id"]),
    ("refunds.list", "RefundListParams", []),
    ("refunds.retrieve", "RefundRetrieveParams", ["id"]),
    ("setup_intents.list", "SetupIntentListParams", []),
    ("setup_intents.retrieve", "SetupIntentRetrieveParams", ["id"]),
    ("topups.list", "TopupListParams", []),
    ("topups.retrieve", "TopupRetrieveParams", ["id"]),
    ("transfers.list", "TransferListParams", []),
    ("transfers.retrieve", "TransferRetrieveParams", ["id"]),
    ("transfers.reversals.list", "TransferReversalListParams", ["id"]),
    ("transfers.reversals.retrieve", "TransferReversalRetrieveParams", ["id", "id"]),
]


class Recorder(stripe.HTTPClient):
    """Sends nothing and remembers the last method and address."""

    name = "recorder"

    def request(self, method, url, headers, post_data=None):
        self.seen = (method.upper(), url)
        return "{}", 200, {}

    def close(self):
        pass


def method_and_path(call, ids):
    """Method and path template of an SDK call, as the SDK itself sends it."""
    recorder = Recorder()
    service = stripe.StripeClient("sk_test_contract", http_client=recorder).v1
    for name in call.split("."):
        service = getattr(service, name)
    service(*[f"IDENTIFIER{index}" for index, _ in enumerate(ids)], params={})
    method, url = recorder.seen
    path = re.sub(r"IDENTIFIER\d+", "{id}", url.removeprefix("https://api.stripe.com").split("?")[0])
    assert path.startswith("/v1/") and path.count("{id}") == len(ids), url
    return method, path


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def parameters(type_name):
    """JSON schema of a parameter type, without prose and without the client's own options."""
    module = importlib.import_module(f"stripe.params._{snake(type_name)}")
    # Names that the SDK imports for type checkers only, which pydantic must resolve.
    module.StripeContext = StripeContext
    module.Mapping = Mapping
    typed = getattr(module, type_name)
    typed.__pydantic_config__ = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    schema = pydantic.TypeAdapter(typed).json_schema(schema_generator=Lenient)
    schema = closed(schema)
    for option in RequestOptions.__annotations__:
        schema.get("properties", {}).pop(option, None)
    schema = reachable(schema)
    return schema


class Lenient(GenerateJsonSchema):
    """Takes the client's options (a class among them), which are removed afterwards."""

    def handle_invalid_for_json_schema(self, schema, error_info):
        return {}

    def is_instance_schema(self, schema):
        return {}

    def sort(self, value, parent_key=None):
        return value


def closed(node):
    """Drops prose, and the bare string that the SDK puts beside each enumeration so that it stays open."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    # A schema's own words; in `properties` and `$defs` the keys are names, and a parameter may be called `title`.
    node = {key: value for key, value in node.items() if key not in ("title", "description", "default")}
    out = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):
            out[key] = {name: closed(schema) for name, schema in sorted(value.items())}
        elif key == "required":
            out[key] = sorted(value)
        else:
            out[key] = closed(value)
    branches = out.get("anyOf")
    if branches and any("enum" in branch or "const" in branch for branch in branches):
        branches = [branch for branch in branches if branch != {"type": "string"}]
        out = branches[0] if len(branches) == 1 and len(out) == 1 else {**out, "anyOf": branches}
    return out


def reachable(schema):
    """Keeps the definitions that the parameters still lead to."""
    definitions = schema.pop("$defs", {})
    kept, queue = {}, [schema]
    while queue:
        for name in re.findall(r'"#/\$defs/([^"]+)"', json.dumps(queue.pop())):
            if name not in kept:
                kept[name] = definitions[name]
                queue.append(definitions[name])
    for name, definition in kept.items():
        # Each nested parameter object must be closed too, or a misspelt name inside would pass.
        if definition.get("type") == "object" and "properties" in definition:
            assert definition.get("additionalProperties") is False, name
    if kept:
        schema["$defs"] = dict(sorted(kept.items()))
    assert schema.get("additionalProperties") is False
    return schema


def contract():
    assert stripe.VERSION == "16.0.1", stripe.VERSION
    assert stripe.api_version in (None, API_VERSION), stripe.api_version
    assert stripe._api_version._ApiVersion.CURRENT == API_VERSION
    requests = []
    for call, type_name, ids in REQUESTS:
        method, path = method_and_path(call, ids)
        requests.append({"method": method, "path": path, "parameters": parameters(type_name)})
    return {
        "about": {
            "what": "Names and types of the parameters that Stripe takes in each request that the adapter can make",
            "source": "https://github.com/stripe/stripe-python, package stripe 16.0.1, module stripe.params",
            "licence": "MIT, Copyright (c) 2010-2018 Stripe (http://stripe.com)",
            "api_version": API_VERSION,
            "generated_by": "contract/generate.py",
        },
        "requests": requests,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed file instead of writing it")
    arguments = parser.parse_args()
    text = json.dumps(contract(), indent=1, ensure_ascii=True) + "\n"
    if arguments.check:
        if TARGET.read_text() != text:
            sys.exit(f"{TARGET} differs from what the SDK says: run contract/generate.py and look at the difference")
        return
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
