// Stands for the runtime in tests of the page around it: an answer without a network.
const LABELS = ["anger", "happiness", "neutral"];
const scores = { anger: 0.1, happiness: 0.2, neutral: 0.7 };
const segment = (start, end) => ({ start, end, label: "neutral", unsure: false, scores });

export async function load(source) {
  const card = JSON.parse(new TextDecoder().decode(await source("bundle.json")));
  const size = (await source("model.onnx")).byteLength;
  const predict = async (samples, rate) => {
    const seconds = samples.length / rate;
    const spans = [{ symbol: "a", start: 0, end: 0.1, confidence: 1, share: 0.06 }];
    const plain = { label: "neutral", unsure: false, scores, seconds, phonemes: ["a"], warnings: [] };
    return { ...plain, speech_ratio: 1, segments: [segment(0, seconds)], spans, size };
  };
  const stream = (rate) => {
    let count = 0;
    const events = () => [{ type: "window", segment: segment(0, count / rate), speech_ratio: 1 }];
    return {
      push: async (samples) => ((count += samples.length), events()),
      finish: async () => ({ events: [], prediction: await predict(new Float32Array(count), rate) }),
      reset: () => {},
    };
  };
  return { card, labels: LABELS, windowSeconds: 3, predict, stream };
}
