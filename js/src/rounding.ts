/** Numbers as Python rounds and writes them. */

/** `round(value)` of Python: halves go to the even neighbor. */
export function roundEven(value: number): number {
  const floor = Math.floor(value)
  if (value - floor !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

/** `round(value, digits)` of Python: correctly rounded, exact halves to the even digit. */
export function roundTo(value: number, digits: number): number {
  if (!Number.isFinite(value)) return value
  const scaled = value * 10 ** digits
  const isHalf = scaled - Math.floor(scaled) === 0.5 && Number.isInteger(value * 2 ** (digits + 1))
  return isHalf ? roundEven(scaled) / 10 ** digits : Number(value.toFixed(digits))
}

/** `repr(value)` of a Python float, which its JSON has, too. */
export function pythonFloat(value: number): string {
  if (value === 0) return "0.0"
  const [mantissa, power] = value.toExponential().split("e")
  const exponent = Number(power)
  if (exponent < -4 || exponent >= 16) {
    const size = Math.abs(exponent)
    return `${mantissa}e${exponent < 0 ? "-" : "+"}${size < 10 ? "0" : ""}${size}`
  }
  const text = exponent < 0 ? smallDecimal(mantissa, exponent) : String(value)
  return text.includes(".") ? text : `${text}.0`
}

function smallDecimal(mantissa: string, exponent: number): string {
  const sign = mantissa.startsWith("-") ? "-" : ""
  const digits = mantissa.replace("-", "").replace(".", "")
  return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`
}

/** `f"{value:g}"` of Python. */
export function pythonGeneral(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return value === 0 ? "0" : String(value)
  const [mantissa, power] = value.toExponential(5).split("e")
  const exponent = Number(power)
  const shortened = mantissa.replace(/\.?0+$/, "")
  if (exponent >= -4 && exponent < 6) return String(Number(value.toPrecision(6)))
  const size = Math.abs(exponent)
  return `${shortened}e${exponent < 0 ? "-" : "+"}${size < 10 ? "0" : ""}${size}`
}
