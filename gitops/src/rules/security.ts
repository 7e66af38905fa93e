import { type Container, nameOf, ofKind, type SecurityContext } from './documents.ts'
import { containersOf, type Pods, podsOf } from './pods.ts'
import type { Rule } from './rule.ts'

const shipped: (look: (pods: Pods) => string | undefined) => Rule = (look) => (set) =>
  podsOf(set).flatMap((pods) => {
    const says = pods.operated ? undefined : look(pods)
    return says ? [[nameOf(pods.owner), says]] : []
  })

const everyContainer =
  (look: (container: Container, pods: Pods) => string | undefined): Rule =>
  (set) =>
    podsOf(set).flatMap((pods) =>
      (pods.operated ? [] : containersOf(pods)).flatMap((container): [string, string][] => {
        const says = look(container, pods)
        return says ? [[`${nameOf(pods.owner)} ${container.name}`, says]] : []
      }),
    )

/** What holds for a container: its own word, else its pod's. */
const effective = <K extends keyof SecurityContext>(key: K, { securityContext }: Container, { spec }: Pods) =>
  securityContext?.[key] ?? spec.securityContext?.[key]

const digest = /^[^@\s]+@sha256:(?!0{64})[0-9a-f]{64}$/

export const securityRules: Record<string, Rule> = {
  'image-by-digest': everyContainer(({ image = '' }) =>
    digest.test(image) ? undefined : `names ${image || 'no image'}: name it by @sha256: and its digest`,
  ),
  'image-of-operator-by-digest': (set) =>
    ofKind(set, 'Cluster')
      .filter(({ spec }) => !digest.test(String((spec as { imageName?: string })?.imageName)))
      .map((document) => [nameOf(document), 'names its image without a digest: add @sha256: and the digest']),
  'runs-as-nobody': everyContainer((container, pods) =>
    effective('runAsNonRoot', container, pods) === true && Number(effective('runAsUser', container, pods)) > 0
      ? undefined
      : 'may run as root: set runAsNonRoot, and runAsUser above 0',
  ),
  'seccomp-default': everyContainer((container, pods) =>
    effective('seccompProfile', container, pods)?.type === 'RuntimeDefault'
      ? undefined
      : 'has no seccomp profile: set RuntimeDefault',
  ),
  'root-is-read-only': everyContainer(({ securityContext }) =>
    securityContext?.readOnlyRootFilesystem === true ? undefined : 'may write to its image: set readOnlyRootFilesystem',
  ),
  'no-escalation': everyContainer(({ securityContext }) =>
    securityContext?.allowPrivilegeEscalation === false && securityContext.privileged !== true
      ? undefined
      : 'may gain privileges: set allowPrivilegeEscalation to false, and not privileged',
  ),
  'no-capabilities': everyContainer(({ securityContext }) =>
    securityContext?.capabilities?.drop?.includes('ALL') && !securityContext.capabilities.add?.length
      ? undefined
      : 'keeps capabilities: drop ALL, add none',
  ),
  'host-stays-out': shipped(({ spec }) =>
    spec.hostNetwork || spec.hostPID || spec.hostIPC || spec.volumes?.some(({ hostPath }) => hostPath)
      ? 'uses the network, processes or files of its node: remove host settings and hostPath volumes'
      : undefined,
  ),
  'no-account-token': shipped(({ spec }) =>
    spec.automountServiceAccountToken === false
      ? undefined
      : 'gets a token for the Kubernetes API: set automountServiceAccountToken to false',
  ),
  'own-account': (set) =>
    podsOf(set).flatMap(({ owner, spec, operated }): [string, string][] => {
      const account = spec.serviceAccountName
      if (operated || (account === undefined && spec.automountServiceAccountToken === false)) return []
      const known = ofKind(set, 'ServiceAccount').some(({ metadata }) => metadata.name === account)
      return known ? [] : [[nameOf(owner), `runs as ${account ?? 'default'}, an account that this set does not make`]]
    }),
  'account-gives-no-token': (set) =>
    ofKind(set, 'ServiceAccount')
      .filter((account) => account.automountServiceAccountToken !== false)
      .map((account) => [nameOf(account), 'hands its token to every pod: set automountServiceAccountToken to false']),
  'no-wide-role': (set) =>
    ofKind(set, 'Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding').flatMap((role): [string, string][] => {
      const wide = role.rules?.some(({ apiGroups = [], resources = [], verbs = [] }) =>
        [...apiGroups, ...resources, ...verbs].includes('*'),
      )
      const admin = ['cluster-admin', 'admin', 'edit'].includes(role.roleRef?.name ?? '')
      return wide || admin
        ? [[nameOf(role), 'gives more than it names: list groups, resources and verbs, without *']]
        : []
    }),
  'writable-is-bounded': shipped(({ spec }) =>
    spec.volumes?.some(({ emptyDir }) => emptyDir && emptyDir.sizeLimit === undefined)
      ? 'has an emptyDir without a sizeLimit: a pod could fill its node'
      : undefined,
  ),
}
