import { expect, it, vi } from "vitest"
import { NOW, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { AbandonedClaims } from "./abandoned-claims.ts"

useFakeClock()

const lease = { id: "a", token: "t", leaseEndsAt: NOW + 30_000, dueAt: NOW }

it("a fence that fails is resent after a pause, however often the database responds meanwhile", async () => {
  const write = vi.fn(async () => {})
  for (let i = 0; i < 3; i++) write.mockRejectedValueOnce(new Error("throttled"))
  const abandoned = new AbandonedClaims(write, 30_000)
  abandoned.fence(lease, NOW)
  for (let ms = 0; ms < 10_000; ms += 10) {
    await pass(10)
    abandoned.retry()
  }
  expect(write).toHaveBeenCalledTimes(4)
  expect(write).toHaveBeenLastCalledWith(lease, NOW)
})

it("it is given up when the lease has expired", async () => {
  const write = vi.fn(async () => Promise.reject(new Error("throttled")))
  const abandoned = new AbandonedClaims(write, 1500)
  abandoned.fence(lease, NOW)
  for (let i = 0; i < 10; i++) {
    await pass(1000)
    abandoned.retry()
  }
  expect(write).toHaveBeenCalledTimes(2)
})
