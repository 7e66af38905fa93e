export { startDns } from './dns.ts'
export { hostileUrls, innerAddresses } from './hostile-urls.ts'
