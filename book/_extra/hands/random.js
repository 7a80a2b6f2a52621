// Random numbers that are the same in every browser: the generator sfc32 (Doty-Humphrey), one for each seed and purpose.
// Like all files here that train, this one is a function that needs nothing around it: the page hands its text to a worker.
"use strict";

function makeRandom(seed, purpose) {
  let [a, b, c, d] = [0x9e3779b9 ^ seed, 0x243f6a88 ^ purpose, 0xb7e15162, 1];
  let spare = null;

  function bits() {
    const sum = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum | 0;
    return sum >>> 0;
  }

  const uniform = () => bits() / 2 ** 32; // in [0, 1)
  const integer = (n) => Math.floor(uniform() * n); // 0, ..., n - 1

  // Standard normal, two at a time (Box & Muller).
  function normal() {
    if (spare !== null) {
      const kept = spare;
      spare = null;
      return kept;
    }
    const [radius, angle] = [Math.sqrt(-2 * Math.log(1 - uniform())), 2 * Math.PI * uniform()];
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  for (let i = 0; i < 15; i++) bits(); // seeds that are alike part
  return { uniform, integer, normal };
}

if (typeof module !== "undefined") module.exports = makeRandom;
