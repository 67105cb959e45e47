/** Options by name: an unknown one is an error, so that a misspelled one is not dropped. */
import { PhonemoError } from "./errors.js";
/** Check the names of options.
 *
 * @param call what takes them, for the message.
 */
export function checkOptions(call, options, known) {
    if (typeof options !== "object" || options === null)
        throw new PhonemoError("UsageError", `${call}: expected options as an object, got ${String(options).slice(0, 60)}; leave them out`);
    const unknown = Object.keys(options).find((name) => !known.includes(name));
    if (unknown === undefined)
        return;
    const advice = call === "stream" && unknown === "profile" ? "apply it first: await recognizer.withProfile(profile)" : "use one of them";
    throw new PhonemoError("UsageError", `${call}: expected options of ${known.join(", ")}, got ${JSON.stringify(unknown).slice(0, 60)}; ${advice}`);
}
