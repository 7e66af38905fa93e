/** The broker could not be asked, or did not answer. Told once for a whole outage, by whoever keeps the connection. */
export class BrokerError extends Error {
  override name = 'BrokerError'
}
