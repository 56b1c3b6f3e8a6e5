// Owns DynamoDB Local by Docker: whether a container engine answers, and how to run the image.
import type { Availability, Engine } from "./engine.ts"
import { untilAnswering } from "./readiness.ts"

/** The image; docker-compose.yml names the same. */
export const DYNAMODB_LOCAL_IMAGE = "amazon/dynamodb-local:2.6.1"

const CONTAINER_PORT = 8000

/** A container engine that hangs must not hang those who only ask for it. */
const DOCKER_ANSWERS_WITHIN_MS = 10_000

/** Imported only when it is needed: it takes half a second. */
const loadTestcontainers = () => import("testcontainers")

async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no response within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * DynamoDB Local, AWS's own, in a container. It is published on all interfaces: testcontainers has no option for the
 * address. A container whose process was killed is removed by testcontainers' own reaper.
 */
export function dynamodbLocalDocker(): Engine {
  return {
    name: "dynamodb-local-docker",

    async availability(): Promise<Availability> {
      try {
        const { getContainerRuntimeClient } = await loadTestcontainers()
        await within(getContainerRuntimeClient(), DOCKER_ANSWERS_WITHIN_MS)
        return { available: true, how: DYNAMODB_LOCAL_IMAGE }
      } catch (error) {
        return { available: false, reason: (error as Error).message, remedy: "install and start Docker" }
      }
    },

    async start(options) {
      const { GenericContainer, Wait } = await loadTestcontainers()
      const container = await new GenericContainer(DYNAMODB_LOCAL_IMAGE)
        .withCommand(["-jar", "DynamoDBLocal.jar", "-inMemory", "-sharedDb"])
        .withEnvironment({ DDB_LOCAL_TELEMETRY: "0" })
        .withExposedPorts(
          options.port === undefined ? CONTAINER_PORT : { container: CONTAINER_PORT, host: options.port },
        )
        .withWaitStrategy(Wait.forListeningPorts())
        .withStartupTimeout(options.readyTimeoutMs)
        .start()
      const endpoint = `http://${container.getHost()}:${container.getMappedPort(CONTAINER_PORT)}`
      let stopped: Promise<unknown> | undefined
      const stop = async () => {
        stopped ??= container.stop()
        await stopped
      }
      try {
        await untilAnswering(endpoint, { timeoutMs: options.readyTimeoutMs })
      } catch (error) {
        await stop()
        throw error
      }
      return { engine: "dynamodb-local-docker", endpoint, stop }
    },
  }
}
