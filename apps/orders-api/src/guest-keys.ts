// Prints a new key set for GUEST_KEYS; to rotate, put its key before those that are there.
import { newGuestKeys } from './access/guest-tokens.ts'

process.stdout.write(
  await newGuestKeys(
    `guests-${new Date(performance.timeOrigin).toISOString().slice(0, 10)}-${crypto.randomUUID().slice(0, 8)}`,
  ),
)
