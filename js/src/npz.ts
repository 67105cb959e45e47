/** Arrays of a .npz file: a zip archive, stored or deflated, of .npy files. */

/** An array in C order. */
export interface NpyArray {
  /** As numpy writes it, such as "<f4". */
  dtype: string
  shape: number[]
  values: Float32Array | Float64Array | Uint8Array | Uint16Array | Uint32Array
}

const KINDS: Record<string, typeof Float32Array | typeof Float64Array | typeof Uint8Array | typeof Uint16Array | typeof Uint32Array> = {
  "<f4": Float32Array,
  "<f8": Float64Array,
  "|u1": Uint8Array,
  "<u2": Uint16Array,
  "<u4": Uint32Array,
}
const END_OF_DIRECTORY = 0x06054b50
const DIRECTORY_ENTRY = 0x02014b50
/** All unpacked arrays together. */
const MOST_BYTES = 2 ** 26

/** Read all arrays; an Error where the content is something else. */
export async function readNpz(content: Uint8Array): Promise<Map<string, NpyArray>> {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
  const end = endOfDirectory(view)
  const count = view.getUint16(end + 10, true)
  let place = view.getUint32(end + 16, true)
  const arrays = new Map<string, NpyArray>()
  let total = 0
  for (let number = 0; number < count; number++) {
    if (view.getUint32(place, true) !== DIRECTORY_ENTRY) throw new Error("expected a directory entry")
    const size = view.getUint32(place + 24, true)
    total += size
    if (total > MOST_BYTES) throw new Error(`${total} bytes when unpacked`)
    const lengths = [28, 30, 32].map((offset) => view.getUint16(place + offset, true))
    const name = new TextDecoder().decode(content.subarray(place + 46, place + 46 + lengths[0]))
    const bytes = await unpackedMember(content, view, place, size)
    arrays.set(name.replace(/\.npy$/, ""), readNpy(bytes))
    place += 46 + lengths[0] + lengths[1] + lengths[2]
  }
  return arrays
}

function endOfDirectory(view: DataView): number {
  for (let place = view.byteLength - 22; place >= 0; place--)
    if (view.getUint32(place, true) === END_OF_DIRECTORY) return place
  throw new Error("expected a zip archive")
}

async function unpackedMember(
  content: Uint8Array,
  view: DataView,
  entry: number,
  size: number,
): Promise<Uint8Array> {
  const method = view.getUint16(entry + 10, true)
  const packed = view.getUint32(entry + 20, true)
  const header = view.getUint32(entry + 42, true)
  const start = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true)
  const bytes = content.subarray(start, start + packed)
  if (method !== 0 && method !== 8) throw new Error(`expected a stored or deflated member, got method ${method}`)
  const unpacked = method === 0 ? bytes : await inflated(bytes, size)
  if (unpacked.length !== size) throw new Error("expected another size")
  return unpacked
}

async function inflated(bytes: Uint8Array, most: number): Promise<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream("deflate-raw"))
  const all = new Uint8Array(most)
  let position = 0
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
    if (position + chunk.length > most) throw new Error("expected another size")
    all.set(chunk, position)
    position += chunk.length
  }
  return all.subarray(0, position)
}

function readNpy(bytes: Uint8Array): NpyArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes[0] !== 0x93 || bytes[1] !== 0x4e || bytes[5] !== 0x59) throw new Error("expected a .npy file")
  const isFirst = bytes[6] === 1
  const length = isFirst ? view.getUint16(8, true) : view.getUint32(8, true)
  const start = isFirst ? 10 : 12
  const header = new TextDecoder().decode(bytes.subarray(start, start + length))
  const dtype = /'descr': '([^']+)'/.exec(header)?.[1] ?? ""
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? "").split(",").filter((part) => part.trim())
  if (!header.includes("'fortran_order': False")) throw new Error("expected an array in C order")
  const data = new Uint8Array(bytes.subarray(start + length)).buffer // a Buffer's slice would share memory
  const kind = KINDS[dtype]
  if (!kind) throw new Error(`expected ${Object.keys(KINDS).join(", ")}, got ${dtype}`)
  const count = shape.reduce((product, axis) => product * Number(axis), 1)
  if (count * kind.BYTES_PER_ELEMENT !== data.byteLength) throw new Error("expected another number of values")
  return { dtype, shape: shape.map(Number), values: new kind(data) }
}
