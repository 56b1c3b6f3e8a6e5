// Owns the calls to the carrier that picks up parcels: another company's HTTP API, which may be down, slow, or refuse.

/** The timeout of a request; keep it well below the relay's `processingTimeoutMs`. */
const REQUEST_TIMEOUT_MS = 2_000

export interface Carrier {
  /**
   * Books a parcel.
   *
   * @param idempotencyKey - for a repeated key, the carrier returns the parcel that it has already booked
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
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    })
    const result = (await response.json()) as { parcel?: string; error?: string }
    if (!response.ok || result.parcel === undefined) {
      throw new Error(`carrier returned ${response.status}: ${result.error ?? "no reason given"}`)
    }
    return result.parcel
  }
}
