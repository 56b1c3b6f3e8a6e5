// Owns how much is measured: the full run takes about ten minutes, the quick one about one.

export interface Settings {
  isQuick: boolean
  /** Everything random derives from it, except what the library itself draws. */
  seed: number
  drain: {
    rounds: number
    /** Events of a no-op drain, of one with slow handlers at concurrency 50, and of one with slow handlers one by one. */
    events: number
    slowEvents: number
    serialSlowEvents: number
    /** Numbers in flight among which the best one for the bare loop is looked for, and events for each try. */
    inFlightTried: number[]
    inFlightEvents: number
    /** Pages of 50 the original's algorithm is given; the rate is that of whole cycles of page and pause. */
    originalPages: number
    /** Rounds of the drains with 10-KB events or slow handlers. */
    sideRounds: number
  }
  units: { events: number }
  fleet: { workers: number[]; events: number; rounds: number; originalEvents: number }
  latency: { emits: number; remoteEmits: number }
  idle: { windowMs: number; timeScale: number }
  memory: { backlogs: [small: number, large: number]; warmUpEvents: number }
  batching: { events: number; bufferTimeoutMs: number }
  order: { events: number }
  crash: { leaseMs: number }
  diagnostics: { events: number }
  stream: { events: number }
  coldStart: { starts: number }
  openTelemetry: { events: number; rounds: number }
}

const SEED = 20_240_607

const FULL: Settings = {
  isQuick: false,
  seed: SEED,
  drain: {
    rounds: 5,
    events: 2000,
    slowEvents: 1000,
    serialSlowEvents: 150,
    inFlightTried: [8, 16, 24, 32, 50, 100],
    inFlightEvents: 800,
    originalPages: 2,
    sideRounds: 3,
  },
  units: { events: 400 },
  fleet: { workers: [1, 2, 4, 8], events: 2000, rounds: 3, originalEvents: 200 },
  latency: { emits: 300, remoteEmits: 300 },
  idle: { windowMs: 60_000, timeScale: 1 },
  memory: { backlogs: [1000, 50_000], warmUpEvents: 1000 },
  batching: { events: 2000, bufferTimeoutMs: 100 },
  order: { events: 2000 },
  crash: { leaseMs: 8000 },
  diagnostics: { events: 1000 },
  stream: { events: 300 },
  coldStart: { starts: 15 },
  openTelemetry: { events: 2000, rounds: 7 },
}

const QUICK: Settings = {
  isQuick: true,
  seed: SEED,
  drain: {
    rounds: 1,
    events: 200,
    slowEvents: 300,
    serialSlowEvents: 30,
    inFlightTried: [32],
    inFlightEvents: 200,
    originalPages: 1,
    sideRounds: 0,
  },
  units: { events: 100 },
  fleet: { workers: [4, 8], events: 2000, rounds: 1, originalEvents: 0 },
  latency: { emits: 30, remoteEmits: 5 },
  // Ten times as fast: the poll interval and the lease are divided by it, and so is the minute.
  idle: { windowMs: 6000, timeScale: 10 },
  memory: { backlogs: [100, 400], warmUpEvents: 100 },
  // A slow machine must not be the reason for batches that are not full.
  batching: { events: 600, bufferTimeoutMs: 2000 },
  order: { events: 600 },
  crash: { leaseMs: 4000 },
  diagnostics: { events: 100 },
  stream: { events: 40 },
  coldStart: { starts: 1 },
  openTelemetry: { events: 100, rounds: 1 },
}

export function settingsFor(isQuick: boolean): Settings {
  return isQuick ? QUICK : FULL
}
