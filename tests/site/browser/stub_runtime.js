// Stands for the runtime in tests of the page around it: an answer without a network.
const scores = { anger: 0.1, happiness: 0.2, neutral: 0.7 };
const segment = (start, end) => ({ start, end, label: "neutral", unsure: false, scores });

class Stub {
  windowSeconds = 3;

  constructor(card) {
    this.card = card;
  }

  async withProfile() {
    return this;
  }

  withDecoding() {
    return this;
  }

  async predict(samples, rate) {
    const seconds = samples.length / rate;
    const spans = [{ symbol: "a", start: 0, end: 0.1, confidence: 1, share: 0.06 }];
    const plain = { label: "neutral", unsure: false, scores, seconds, phonemes: ["a"], warnings: [] };
    return { ...plain, speech_ratio: 1, segments: [segment(0, seconds)], spans };
  }

  stream(rate) {
    let count = 0;
    const event = () => ({ type: "window", segment: segment(0, count / rate), speech_ratio: 1 });
    return {
      push: async (samples) => ((count += samples.length), [event()]),
      finish: async () => ({ events: [], prediction: await this.predict(new Float32Array(count), rate) }),
      resetProfile: () => {},
    };
  }
}

export async function load(source) {
  const card = JSON.parse(new TextDecoder().decode(await source("bundle.json")));
  await source("model.onnx");
  return new Stub(card);
}
