/** CTC prefix beam search with a phoneme language model (Hannun et al. 2014).
 *
 * Many paths spell the same phonemes; best-path decoding takes the best single path, a prefix beam search sums over
 * paths. Each prefix keeps the probability of its paths that end in a blank and of those that do not, since a
 * repeated phoneme needs a blank in between.
 */
import { align } from "./alignment.js";
/** Phonemes below this probability do not extend a prefix in a frame. */
const FLOOR = 0.003;
const LEAST = 1e-300;
/** The most probable phonemes given posteriors and language model, without blanks.
 *
 * @param scores log posteriors (frame, phoneme), the blank first.
 */
export function search(scores, model) {
    const start = { symbol: 0, parent: null, context: 0, score: 0, following: new Map() };
    let beam = [{ prefix: start, ended: 1, open: 0 }];
    for (const row of scores)
        beam = step(beam, Float64Array.from(row, Math.exp), model);
    const whole = (one) => rank(one) + model.settings.weight * model.rowAfter(one.prefix.context)[0];
    let best = beam[0];
    for (const one of beam)
        if (whole(one) > whole(best))
            best = one;
    return symbolsOf(best.prefix);
}
/** `search`, and the frames that emit each phoneme. */
export function decodeWith(scores, model) {
    return align(scores, search(scores, model));
}
/** One frame further; the probabilities are scaled so that they never vanish. */
function step(beam, frame, model) {
    const likely = [];
    for (let symbol = 1; symbol < frame.length; symbol++)
        if (frame[symbol] > FLOOR)
            likely.push(symbol);
    const found = new Map();
    for (const { prefix, ended, open } of beam) {
        const total = ended + open;
        add(found, prefix, total * frame[0], prefix.symbol ? frame[prefix.symbol] * open : 0);
        for (const symbol of likely) {
            const before = symbol === prefix.symbol ? ended : total;
            if (before > 0)
                add(found, extended(prefix, symbol, model), 0, before * frame[symbol]);
        }
    }
    const ranked = Array.from(found.values(), (one) => ({ one, value: rank(one) }));
    const kept = ranked.sort((left, right) => right.value - left.value).slice(0, model.settings.beam);
    const scale = Math.max(...kept.map(({ one }) => one.ended + one.open)) || 1;
    return kept.map(({ one: { prefix, ended, open } }) => ({ prefix, ended: ended / scale, open: open / scale }));
}
function add(found, prefix, ended, open) {
    const known = found.get(prefix);
    if (!known) {
        found.set(prefix, { prefix, ended, open });
        return;
    }
    known.ended += ended;
    known.open += open;
}
function extended(prefix, symbol, model) {
    const known = prefix.following.get(symbol);
    if (known)
        return known;
    const { weight, bonus } = model.settings;
    const longer = {
        symbol,
        parent: prefix,
        context: model.contextAfter(prefix.context, symbol),
        score: prefix.score + weight * model.rowAfter(prefix.context)[symbol] + bonus,
        following: new Map(),
    };
    prefix.following.set(symbol, longer);
    return longer;
}
function rank({ prefix, ended, open }) {
    return Math.log(Math.max(ended + open, LEAST)) + prefix.score;
}
function symbolsOf(prefix) {
    const symbols = [];
    for (let one = prefix; one.parent; one = one.parent)
        symbols.push(one.symbol);
    return symbols.reverse();
}
