/** What is read of an Application of Argo CD. */
export type Application = {
  metadata: { name: string; annotations?: Record<string, string>; creationTimestamp?: string }
  status?: {
    sync?: { status?: string; revision?: string; revisions?: string[] }
    health?: { status?: string; message?: string }
    operationState?: { phase?: string; message?: string }
  }
}

/** Why a cluster is not what Git says, one line an Application; empty when all are Synced and Healthy at `revision`. */
export function unfinished(applications: Application[], revision: string): string[] {
  if (applications.length === 0) return ['there is no Application yet']
  return applications.flatMap(({ metadata, status }) => {
    const { sync, health, operationState } = status ?? {}
    const revisions = sync?.revisions ?? [sync?.revision]
    const seen = [sync?.status ?? 'unknown', health?.status ?? 'unknown', operationState?.phase ?? 'Succeeded']
    if (seen.join() === 'Synced,Healthy,Succeeded' && revisions.includes(revision)) return []
    const message = operationState?.message ?? health?.message ?? ''
    return [`${metadata.name} is ${seen.join(', ')} at ${revisions.join(' ')} ${message}`.trim()]
  })
}

type Pod = {
  metadata: { name: string }
  status?: { containerStatuses?: { state?: { waiting?: { reason?: string } } }[] }
}

/** The pods whose image cannot be had. */
export function withoutImage(pods: Pod[]): string[] {
  return pods
    .filter(({ status }) =>
      status?.containerStatuses?.some(({ state }) =>
        ['ErrImagePull', 'ImagePullBackOff', 'InvalidImageName'].includes(state?.waiting?.reason ?? ''),
      ),
    )
    .map(({ metadata }) => metadata.name)
}
