// The other side of check.py in Node: Stripe's library for its scheme, Node's own cryptography for Ed25519. One JSON
// object a line comes in, one goes out.
const crypto = require("node:crypto");
const readline = require("node:readline");
const Stripe = require("stripe");

const stripe = new Stripe("sk_test_unused");
const PRIVATE_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

function privateKey(text) {
  const seed = Buffer.from(text.slice("whsk_".length), "base64").subarray(0, 32);
  return crypto.createPrivateKey({ key: Buffer.concat([PRIVATE_PREFIX, seed]), format: "der", type: "pkcs8" });
}

function publicKey(text) {
  const bytes = Buffer.from(text.slice("whpk_".length), "base64");
  return crypto.createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, bytes]), format: "der", type: "spki" });
}

function standard(request) {
  return Buffer.from(`${request.id}.${request.timestamp}.${request.body}`);
}

function accepts(check) {
  try {
    return check() !== false;
  } catch {
    return false;
  }
}

const handlers = {
  stripe_sign: ({ body, key, timestamp }) => ({
    signature: stripe.webhooks.generateTestHeaderString({ payload: body, secret: key, timestamp }),
  }),
  stripe_verify: ({ body, key, signature }) => ({
    accepted: accepts(() => stripe.webhooks.signature.verifyHeader(body, signature, key, 300)),
  }),
  ed25519_sign: (request) => ({
    signature: `v1a,${crypto.sign(null, standard(request), privateKey(request.key)).toString("base64")}`,
  }),
  ed25519_verify: (request) => ({
    accepted: accepts(() => {
      const signature = Buffer.from(request.signature.split(",")[1], "base64");
      return crypto.verify(null, standard(request), publicKey(request.key), signature);
    }),
  }),
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const request = JSON.parse(line);
  console.log(JSON.stringify(handlers[request.do](request)));
});
