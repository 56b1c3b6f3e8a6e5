import { describe, expect, it } from "vitest"
import { ClaimWindow } from "./claim-window.ts"

const grown = (window: ClaimWindow) => {
  for (let i = 0; i < 100; i++) window.handlerWaited()
  return window.size
}

it("begins with one claim and grows by one for each handler that had to wait, up to 24", () => {
  const window = new ClaimWindow(50, 1)
  expect(window.size).toBe(1)
  window.handlerWaited()
  expect(window.size).toBe(2)
  expect(grown(window)).toBe(24)
})

it("never claims further ahead than batchSize", () => {
  expect(grown(new ClaimWindow(7, 1))).toBe(7)
  const shared = new ClaimWindow(3, 1)
  shared.claimLost()
  expect(grown(shared)).toBe(3)
})

it("is halved when an event waited long for its handler, but keeps one", () => {
  const window = new ClaimWindow(50, 1)
  grown(window)
  window.eventWaited(100)
  expect(window.size).toBe(24)
  for (const size of [12, 6, 3, 1, 1]) {
    window.eventWaited(101)
    expect(window.size).toBe(size)
  }
})

it("begins anew beside another worker, and stays small until the next poll", () => {
  const window = new ClaimWindow(50, 1)
  grown(window)
  window.claimLost()
  expect(window.size).toBe(1)
  expect(grown(window)).toBe(4)
  window.begin()
  expect(grown(window)).toBe(24)
})

it("can be narrowed without forgetting how far it may grow", () => {
  const window = new ClaimWindow(50, 1)
  grown(window)
  window.narrow()
  expect(window.size).toBe(1)
  expect(grown(window)).toBe(24)
})

describe("a new poll", () => {
  it("starts with one claim: how long handlers take now is not known", () => {
    const window = new ClaimWindow(50, 1)
    for (let i = 0; i < 10; i++) window.handlerWaited()
    expect(window.size).toBe(11)
    window.begin()
    expect(window.size).toBe(1)
  })
})

it.each([
  [1, 24],
  [30, 30],
  [1000, 50],
])("lets %i handlers that end at once find up to %i events", (concurrency, size) => {
  const window = new ClaimWindow(1000, concurrency)
  for (let i = 0; i < 100; i++) window.handlerWaited()
  expect(window.size).toBe(size)
})
