// Package venafi has the name of a controller only: no module proxy serves the library of Venafi.
package venafi

const CSRControllerName = "certificatesigningrequests-issuer-venafi"
