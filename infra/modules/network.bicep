// A network in which storage is reached: a subnet for the app, one for the machines that train, one for the endpoints
// of storage. The app itself stays reachable: Event Grid and those who ask come from outside.
param location string
param tags object
param networkName string
param token string
param hostAccountId string
param dataAccountId string

var services = [
  'blob'
  'queue'
  'table'
]
var links = [
  {
    account: hostAccountId
    short: 'host'
    service: 'blob'
    zone: 0
  }
  {
    account: hostAccountId
    short: 'host'
    service: 'queue'
    zone: 1
  }
  {
    account: hostAccountId
    short: 'host'
    service: 'table'
    zone: 2
  }
  {
    account: dataAccountId
    short: 'data'
    service: 'blob'
    zone: 0
  }
  {
    account: dataAccountId
    short: 'data'
    service: 'queue'
    zone: 1
  }
]

resource network 'Microsoft.Network/virtualNetworks@2024-07-01' = {
  name: networkName
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        '10.0.0.0/16'
      ]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: '10.0.0.0/24'
          delegations: [
            {
              name: 'app'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: '10.0.1.0/24'
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
      {
        name: 'training'
        properties: {
          addressPrefix: '10.0.2.0/24'
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [for service in services: {
  name: 'privatelink.${service}.${environment().suffixes.storage}'
  location: 'global'
  tags: tags
}]

resource zoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (service, index) in services: {
  parent: zone[index]
  name: 'droptune-${service}'
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-07-01' = [for link in links: {
  name: 'droptune-${link.short}-${link.service}-${token}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: '${network.id}/subnets/endpoints'
    }
    privateLinkServiceConnections: [
      {
        name: link.service
        properties: {
          privateLinkServiceId: link.account
          groupIds: [
            link.service
          ]
        }
      }
    ]
  }
}]

resource endpointZone 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-07-01' = [for (link, index) in links: {
  parent: endpoint[index]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: link.service
        properties: {
          privateDnsZoneId: zone[link.zone].id
        }
      }
    ]
  }
}]
