/** Where a bundle's files come from: a folder, an address, or a function. */
var __rewriteRelativeImportExtension = (this && this.__rewriteRelativeImportExtension) || function (path, preserveJsx) {
    if (typeof path === "string" && /^\.\.?\//.test(path)) {
        return path.replace(/\.(tsx)$|((?:\.d)?)((?:\.[^./]+?)?)\.([cm]?)ts$/i, function (m, tsx, d, ext, cm) {
            return tsx ? preserveJsx ? ".jsx" : ".js" : d && (!ext || !cm) ? m : (d + ext + "." + cm.toLowerCase() + "js");
        });
    }
    return path;
};
import { PhonemoError } from "./errors.js";
/** The reader of a source.
 *
 * @param model name of a bundle in the source, which then holds several; without it, the source is one.
 */
export function readerOf(source, model) {
    if (source === null || !["string", "object", "function"].includes(typeof source))
        throw new PhonemoError("UsageError", `expected a bundle's path, address or function, got ${source}; name the folder`);
    const read = typeof source === "function" ? source : isAddress(source) ? fetcher(source) : fileReader(String(source));
    return async (name) => {
        const place = normalized(model === undefined ? name : `${model}/${name}`);
        try {
            const content = await read(place);
            return content instanceof Uint8Array ? content : new Uint8Array(content);
        }
        catch (cause) {
            const reason = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
            throw new PhonemoError("CheckpointError", `${place}: cannot be read (${reason}); copy the whole folder: bundle.json, model.onnx and, where the ` +
                "card names them, head.onnx, adaptation.npz and phonemes.npz", { cause });
        }
    };
}
/** Resolve "a/../b" to "b"; leading ".." stay. */
function normalized(place) {
    const parts = [];
    for (const part of place.split("/"))
        if (part === ".." && parts.length && parts.at(-1) !== "..")
            parts.pop();
        else
            parts.push(part);
    return parts.join("/");
}
function isNode() {
    return typeof process !== "undefined" && Boolean(process.versions?.node);
}
/** In a browser every text is an address, which may be relative to the page. */
function isAddress(source) {
    return source instanceof URL ? source.protocol !== "file:" : /^https?:/.test(source) || !isNode();
}
function fetcher(source) {
    const base = new URL(String(source).replace(/\/*$/, "/"), globalThis.location?.href);
    return async (name) => {
        const response = await fetch(new URL(name, base));
        if (!response.ok)
            throw new Error(`HTTP ${response.status}`);
        return new Uint8Array(await response.arrayBuffer());
    };
}
function fileReader(folder) {
    const modules = ["node:fs/promises", "node:path", "node:url"];
    return async (name) => {
        const [files, paths, urls] = await Promise.all(modules.map((module) => import(__rewriteRelativeImportExtension(/* @vite-ignore */ module))));
        const root = folder.startsWith("file:") ? urls.fileURLToPath(folder) : folder;
        return files.readFile(paths.join(root, name));
    };
}
