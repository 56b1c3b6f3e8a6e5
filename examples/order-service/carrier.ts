// Owns the calls to the carrier that picks up parcels: another company's HTTP API, which may be down, slow, or refuse.

/** The carrier's own time limit; it must be well below the relay's `processingTimeoutMs`. */
const ANSWER_WITHIN_MS = 2_000

export interface Carrier {
  /**
   * Books a parcel.
   *
   * @param idempotencyKey - asked again with the same key, the carrier answers with the parcel that is booked already
   * @returns the parcel's number
   */
  book(parcel: { orderId: string; postcode: string }, idempotencyKey: string): Promise<string>
}

export class HttpCarrier implements Carrier {
  constructor(private readonly url: string) {}

  async book(parcel: { orderId: string; postcode: string }, idempotencyKey: string): Promise<string> {
    const response = await fetch(`${this.url}/parcels`, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
      body: JSON.stringify(parcel),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    })
    const answer = (await response.json()) as { parcel?: string; error?: string }
    if (!response.ok || answer.parcel === undefined) {
      throw new Error(`carrier answers ${response.status}: ${answer.error ?? "no reason given"}`)
    }
    return answer.parcel
  }
}
