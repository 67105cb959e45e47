/** The content of bundle.json. */
import { PhonemoError } from "./errors.js";
import { FrameGrid, RATE } from "./frames.js";
export const CARD = "bundle.json";
const FORMAT = 1;
const isText = (value) => typeof value === "string";
const isHash = (value) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
const isOptional = (check) => (value) => value === undefined || value === null || check(value);
const isWithin = (least, most) => (value) => typeof value === "number" && value >= least && value <= most;
const isCount = (most) => (value) => Number.isInteger(value) && isWithin(1, most)(value);
const isList = (check, least) => (value) => Array.isArray(value) && value.length >= least && value.every(check);
const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
/** Field -> whether a value is valid, and what is expected. */
const FIELDS = {
    name: [isText, "text"],
    precision: [(value) => value === "fp32" || value === "int8", "fp32 or int8"],
    licence: [isText, "text"],
    labels: [(value) => isList(isText, 1)(value) && new Set(value).size === value.length, "unique labels"],
    inventory: [(value) => value === null || (isRecord(value) && isList(isText, 2)(value.symbols)), "an inventory or null"],
    rate: [(value) => value === RATE, `${RATE} samples per second`],
    normalise: [(value) => typeof value === "boolean", "true or false"],
    fewest_samples: [isCount(RATE * 60), "a number of samples"],
    conv_kernel: [isList(isCount(RATE), 1), "numbers of samples"],
    conv_stride: [isList(isCount(RATE), 1), "numbers of samples"],
    window_seconds: [isWithin(1e-9, 3600), "seconds up to 3600"],
    temperature: [isWithin(1e-3, 1e3), "a number from 0.001 to 1000"],
    abstain_below: [isWithin(0, 1), "a number from 0 to 1"],
    sha256: [isHash, "a SHA-256"],
    head_sha256: [isOptional(isHash), "a SHA-256"],
    adaptation_sha256: [isOptional(isHash), "a SHA-256"],
    decoder_sha256: [isOptional(isHash), "a SHA-256"],
    network: [isOptional((value) => typeof value === "string" && /^[a-z0-9][a-z0-9-]{0,63}$/.test(value)), "a bundle's name"],
    dimensions: [isOptional((value) => isRecord(value) && isList(isText, 1)(value.names)), "names of dimensions"],
};
/** Parse and check a card. */
export function parseCard(content) {
    const data = parsedJson(content);
    if (!isRecord(data) || !Number.isInteger(data.format))
        throw checkpoint(`${CARD}: expected a format number; this is not a phonemo bundle`);
    if (data.format !== FORMAT)
        throw checkpoint(`${CARD}: expected format ${FORMAT}, got ${data.format}; export the model again with this phonemo, or ` +
            "install the version of phonemo that wrote it");
    const card = { temperature: 1, abstain_below: 0, rate: RATE, ...data };
    for (const [name, [isValid, expected]] of Object.entries(FIELDS))
        if (!isValid(card[name]))
            throw checkpoint(`${CARD}: ${name}: expected ${expected}; export the model again`);
    if (card.conv_kernel.length !== card.conv_stride.length)
        throw checkpoint(`${CARD}: expected conv_kernel and conv_stride of the same length; export the model again`);
    if (card.network && !card.adaptation_sha256)
        throw checkpoint(`${CARD}: expected adaptation.npz for the shared network ${card.network}; export the model again`);
    return card;
}
/** The position of the frames in time. */
export function gridOf(card) {
    return FrameGrid.of(card.conv_kernel, card.conv_stride);
}
function parsedJson(content) {
    try {
        return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
    }
    catch (cause) {
        throw new PhonemoError("CheckpointError", `${CARD}: expected JSON; copy the whole folder again`, { cause });
    }
}
function checkpoint(message) {
    return new PhonemoError("CheckpointError", message);
}
