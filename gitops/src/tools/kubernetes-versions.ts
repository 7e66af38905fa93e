import pins from '../../tools.json' with { type: 'json' }

/** The Kubernetes version that every target runs, for example `1.36.3`. */
export const targetVersion: string = pins.kubernetes.targets

/** The versions that every manifest must be valid for: the targets' version, and the next minor version. */
export const checkedVersions: readonly string[] = [targetVersion, pins.kubernetes.next]

/** The minor version, for example `1.36` of `1.36.3`. */
export const minorOf = (version: string): string => version.split('.').slice(0, 2).join('.')
