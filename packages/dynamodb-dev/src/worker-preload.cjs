// Owns the clock of a worker process: `Date` is shifted, timers and `performance` are not. It is preloaded, so it is in
// place before any module of the worker has kept a `Date.now`. CommonJS and plain JavaScript, to run without a loader.
const RealDate = Date
const realNow = RealDate.now.bind(RealDate)
let offsetMs = Number(process.env.WORKER_CLOCK_OFFSET_MS ?? 0)
const now = () => realNow() + offsetMs

const ShiftedDate = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(
      target,
      args.length === 0 ? [now()] : args,
      newTarget === ShiftedDate ? target : newTarget,
    ),
  apply: () => new RealDate(now()).toString(),
  get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
})
RealDate.prototype.constructor = ShiftedDate
globalThis.Date = ShiftedDate

if (process.channel) {
  process.on("message", (message) => {
    if (typeof message?.workerClockOffsetMs === "number") offsetMs = message.workerClockOffsetMs
  })
  // The clock is no reason for the worker to go on; a listener of its own is one, as in any forked process.
  process.channel.unref()
  process.on("newListener", (event) => {
    if (event === "message" || event === "disconnect") process.channel?.ref()
  })
}
