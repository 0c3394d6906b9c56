// Runs mediasoup's own ORTC for tests/kcs_sfu/test_ortc.py.
//
// node ortc_oracle.js DIRECTORY: DIRECTORY/node_modules holds npm's mediasoup. One request per line
// on stdin, {"op": name, ...}; one answer per line on stdout, a list of [step, result] pairs, where
// result is {"ok": value} or {"error": class name, "message": text}. The list ends at the first
// step whose result later ones need and that failed. call() in test_ortc.py does the same in Python.
"use strict";
const path = require("node:path");
const readline = require("node:readline");

const modules = path.join(process.argv[2], "node_modules");
const lib = path.join(modules, "mediasoup", "node", "lib");
const ortc = require(path.join(lib, "ortc.js"));
const utils = require(path.join(lib, "utils.js"));
const { supportedRtpCapabilities } = require(path.join(lib, "supportedRtpCapabilities.js"));
const { parseScalabilityMode } = require(path.join(lib, "scalabilityModesUtils.js"));
const h264 = require(path.join(modules, "h264-profile-level-id"));

ortc.generateRouterRtpCapabilities([]); // creates what getPipeConsumerRtpParameters needs

let nextSsrc = 0;
utils.generateRandomNumber = () => (nextSsrc += 1000);

const operations = {
  supported(attempt) {
    attempt("supported", () => supportedRtpCapabilities);
  },
  sctp(attempt, { params }) {
    attempt("sctp", () => (ortc.validateAndNormalizeSctpStreamParameters(params), params));
  },
  scalability(attempt, { mode }) {
    attempt("scalability", () => parseScalabilityMode(mode));
  },
  h264(attempt, { a, b }) {
    if (attempt("same", () => h264.isSameProfile(a, b)).ok) {
      attempt("answer", () => h264.generateProfileLevelIdStringForAnswer(a, b) ?? null);
    }
  },
  call(attempt, { codecs, kind, params, caps, pipe, enableRtx }) {
    const router = attempt("router", () => ortc.generateRouterRtpCapabilities(codecs)).ok;
    const valid = attempt(
      "params", () => (ortc.validateAndNormalizeRtpParameters(params), structuredClone(params)));
    const remote = attempt(
      "caps", () => (ortc.validateAndNormalizeRtpCapabilities(caps), structuredClone(caps)));
    if (!router || !valid.ok) return;
    const mapping = attempt("mapping", () => ortc.getProducerRtpParametersMapping(params, router)).ok;
    if (!mapping) return;
    attempt("negotiated", () => structuredClone(params));
    const consumable = attempt(
      "consumable", () => ortc.getConsumableRtpParameters(kind, params, router, mapping)).ok;
    attempt("pipe", () => ortc.getPipeConsumerRtpParameters(
      { consumableRtpParameters: consumable, enableRtx }));
    if (!remote.ok) return;
    attempt("canConsume", () => ortc.canConsume(consumable, caps));
    attempt("consumer", () => ortc.getConsumerRtpParameters(
      { consumableRtpParameters: consumable, remoteRtpCapabilities: caps, pipe, enableRtx }));
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { op, ...request } = JSON.parse(line);
  const steps = [];
  const attempt = (step, action) => {
    let result;
    try {
      result = { ok: action() };
    } catch (error) {
      result = { error: error.name, message: error.message };
    }
    steps.push([step, result]);
    return result;
  };
  nextSsrc = 0;
  operations[op](attempt, request);
  process.stdout.write(JSON.stringify(steps) + "\n");
});
