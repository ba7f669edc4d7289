// One run of autocannon: what to do comes as JSON in the first argument, what came of it goes out as JSON.
//
// In: what autocannon takes, and `warm`: the first seconds of `duration`, which are not counted.
// Out: answers by status, and of the answers after `warm`: their number, p50, p99 and most in milliseconds. autocannon's
// own summary knows whole milliseconds only, too coarse for answers that take less.
const autocannon = require("autocannon");

const { warm, ...options } = JSON.parse(process.argv[2]);
const statuses = {};
const took = [];
const began = process.hrtime.bigint();
const since = () => Number(process.hrtime.bigint() - began) / 1e9;
let last = warm; // autocannon ends at one of its own ticks, not after `duration`

const run = autocannon(options, (error, result) => {
  if (error) throw error;
  took.sort((a, b) => a - b);
  const at = (percent) => took[Math.max(Math.ceil((took.length * percent) / 100), 1) - 1];
  const { errors, timeouts } = result;
  const counted = { answers: took.length, seconds: last - warm, p50: at(50), p99: at(99), most: at(100) };
  console.log(JSON.stringify({ statuses, errors, timeouts, ...counted }));
});

run.on("response", (client, status, bytes, milliseconds) => {
  statuses[status] = (statuses[status] || 0) + 1;
  const now = since();
  if (now < warm) return;
  took.push(milliseconds);
  last = now;
});
