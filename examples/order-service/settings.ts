// Owns the settings: table names, the carrier's address, and the options of the relay. Endpoint, region and
// credentials are not here: the AWS SDK reads them from the environment itself.
const { env } = process

export interface TableNames {
  orders: string
  shipments: string
  outbox: string
}

/** The service's three tables. */
export function tableNames(prefix = env.TABLE_PREFIX ?? ""): TableNames {
  return { orders: `${prefix}orders`, shipments: `${prefix}shipments`, outbox: `${prefix}outbox` }
}

/** Where parcels are booked. */
export const CARRIER_URL = env.CARRIER_URL ?? "http://127.0.0.1:8080"

/** The name of this process in its log. */
export const RELAY_NAME = env.RELAY_NAME ?? `relay ${process.pid}`

/** The demo sets shorter times; by default, the adapter's defaults apply. */
export const RELAY_OPTIONS = {
  ...numberOption("pollIntervalMs", env.POLL_INTERVAL_MS),
  ...numberOption("maxRetries", env.MAX_RETRIES),
  ...numberOption("baseBackoffMs", env.BASE_BACKOFF_MS),
  ...numberOption("processingTimeoutMs", env.PROCESSING_TIMEOUT_MS),
}

function numberOption<K extends string>(name: K, value: string | undefined): Partial<Record<K, number>> {
  // A value that is not a number becomes NaN; the outbox refuses it and names the option.
  return value === undefined ? {} : ({ [name]: Number(value) } as Record<K, number>)
}
